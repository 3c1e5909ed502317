// The page's policy forbids style elements and style attributes, because they could come from an attacker. xterm.js
// writes both. Here they go through the object model, which the policy allows. The style elements stay empty: the
// policy contains the hash of an empty text.

/** Takes effect at once. Must be called before a terminal is created. */
export function adoptStyles(): void {
  const createElement = document.createElement.bind(document);
  document.createElement = (tag: string, options?: ElementCreationOptions) => {
    const element = createElement(tag, options);
    if (element instanceof HTMLStyleElement) adopt(element);
    return element;
  };
  const setAttribute = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function (name: string, value: string) {
    if (name === 'style' && this instanceof HTMLElement) this.style.cssText = value;
    else setAttribute.call(this, name, value);
  };
}

/** Makes a style element write to a sheet of the document. */
function adopt(element: HTMLStyleElement): void {
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(element, 'textContent', {
    get: () => Array.from(sheet.cssRules, (rule) => rule.cssText).join('\n'),
    set: (text: string) => sheet.replaceSync(text),
  });
  element.remove = () => {
    HTMLElement.prototype.remove.call(element);
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
  };
}
