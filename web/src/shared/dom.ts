/** Returns the element with this ID, which is in index.html. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no element ${id}`);
  return element as T;
}

export function onClick(id: string, act: () => void): void {
  byId(id).addEventListener('click', act);
}

/** Shows text in an element, which is hidden while there is none. */
export function showText(id: string, text: string): void {
  const element = byId(id);
  // A live region that is written again is read again.
  if (element.textContent !== text) element.textContent = text;
}
