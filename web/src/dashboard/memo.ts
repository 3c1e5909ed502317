// Components that are drawn again only if one of their properties has changed.

import { Component, type ComponentChild, h } from 'preact';

export function memo<P extends object>(draw: (props: P) => ComponentChild) {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const before = this.props as Record<string, unknown>;
      return Object.entries(next).some(([name, value]) => before[name] !== value);
    }

    render() {
      return h(draw as (props: object) => ComponentChild, this.props);
    }
  }
  return Memo;
}
