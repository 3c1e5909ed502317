// The ticket comes in the fragment of the page's address, which browsers do not send. It leaves the address at once.

/** What the page was opened with. */
export interface Opening {
  ticket: string;
  /** The recording that the ticket is for. */
  id: string;
  /** The container's name. */
  name: string;
}

/** Base64url, as tickets are. */
const TICKET = /^[A-Za-z0-9_-]{1,512}$/;
const ID = /^[0-9a-f-]{36}$/;

/** Takes the ticket out of the address. `undefined` without one, such as after a reload. */
export function takeOpening(): Opening | undefined {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const [ticket, id, name] = ['ticket', 'id', 'name'].map((key) => fragment.get(key) ?? '');
  history.replaceState(null, '', location.pathname + location.search);
  if (ticket === undefined || id === undefined || !TICKET.test(ticket) || !ID.test(id)) return undefined;
  return { ticket, id, name: (name ?? '').slice(0, 128) };
}
