// Links to consoles at the gates of hosts.

/** The page for an exec, from the address of its websocket, which has the ticket. `undefined` if it has none. */
export function pageOf(address: string | null, name: string): string | undefined {
  if (address === null) return undefined;
  const { host, searchParams } = new URL(address);
  const secret = searchParams.get('token');
  return secret === null ? undefined : `https://${host}/console#${new URLSearchParams({ ticket: secret, name })}`;
}

/** The same page, with another title. */
export function titled(link: string, title: string): string {
  const url = new URL(link);
  const fragment = new URLSearchParams(url.hash.slice(1));
  fragment.set('name', title);
  url.hash = fragment.toString();
  return url.href;
}
