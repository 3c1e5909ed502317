// Search in the output.

import { byId, onClick, showText } from '../shared/dom.ts';
import type { TerminalView } from './terminal.ts';
import { matchColours, onSystemChange } from '../shared/theme.ts';

export class SearchBar {
  #view: TerminalView;
  #text = byId<HTMLInputElement>('search-text');

  constructor(view: TerminalView) {
    this.#view = view;
    byId('search').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#find('next', false);
    });
    this.#text.addEventListener('input', () => this.#find('next', true));
    byId('search').addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.close();
      else if (event.key === 'Enter' && event.shiftKey && event.target === this.#text) {
        event.preventDefault();
        this.#find('previous', false);
      }
    });
    onClick('search-previous', () => this.#find('previous', false));
    onClick('search-close', () => this.close());
    onClick('open-search', () => (byId('search').hidden ? this.open() : this.close()));
    onSystemChange(() => this.#text.value !== '' && this.#find('next', true));
    view.search.onDidChangeResults(({ resultIndex, resultCount }) => this.#count(resultIndex, resultCount));
  }

  open(): void {
    byId('search').hidden = false;
    const selected = this.#view.terminal.getSelection();
    if (selected !== '' && !selected.includes('\n')) this.#text.value = selected;
    this.#text.select();
    this.#text.focus();
    this.#find('next', true);
  }

  close(): void {
    byId('search').hidden = true;
    this.#view.search.clearDecorations();
    this.#view.terminal.focus();
  }

  #find(direction: 'next' | 'previous', isTyping: boolean): void {
    const colours = matchColours();
    const decorations = {
      matchBackground: colours.match,
      matchOverviewRuler: colours.match,
      activeMatchBackground: colours.active,
      activeMatchColorOverviewRuler: colours.active,
    };
    const { search } = this.#view;
    if (this.#text.value === '') {
      search.clearDecorations();
      showText('search-count', '');
    } else if (direction === 'next') search.findNext(this.#text.value, { decorations, incremental: isTyping });
    else search.findPrevious(this.#text.value, { decorations });
  }

  #count(index: number, count: number): void {
    if (this.#text.value === '') showText('search-count', '');
    else if (count === 0) showText('search-count', 'None');
    else showText('search-count', index < 0 ? `${count}+` : `${index + 1} of ${count}`);
  }
}
