// Opens pages of hosts in tabs of their own.

/**
 * Opens a tab with the address that `ask` returns. Must be called during a click: browsers open no tabs later. Throws an
 * error if the browser opens none, or if there is no address.
 */
export async function openTab(ask: () => Promise<string>): Promise<void> {
  const tab = window.open('', '_blank');
  if (tab === null) throw new Error('The browser does not open tabs for this page. Allow pop-ups, and try again.');
  try {
    const address = await ask();
    // The other page must not reach this one.
    tab.opener = null;
    tab.location.replace(address);
  } catch (failure) {
    tab.close();
    throw failure;
  }
}
