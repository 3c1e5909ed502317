// The form with which users sign in.

import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Api, ApiError, signIn, type Strategy, words } from './api.ts';
import { Failure } from './dialog.tsx';
import { useTitle } from './hooks.ts';

/** Who has signed in. */
export interface Session {
  /** Absent if the service accepts every caller. */
  token?: string;
  /** The user, as far as the page knows. */
  user?: string;
}

interface Asked {
  strategy: Strategy;
  done: (session: Session) => void;
}

/** The page of a user who has not signed in. */
export function SignIn(asked: Asked) {
  useTitle('Sign in');
  return (
    <main class="sign-in">
      <SignInForm {...asked} />
    </main>
  );
}

/** Asks again above what the user was doing, which stays as it is. */
export function SignInAgain({ leave, ...asked }: Asked & { leave: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  // Without a token there is nothing to go back to, so the browser's ways to close a dialog do not.
  const open = () => dialog.current?.open === false && dialog.current.showModal();
  useLayoutEffect(() => void open(), []);
  return (
    <dialog ref={dialog} class="sign-in-again" aria-labelledby="sign-in-title" onCancel={(event) => event.preventDefault()} onClose={open}>
      <SignInForm {...asked} leave={leave} />
    </dialog>
  );
}

/** With `leave`, the user has been signed in before. */
function SignInForm({ strategy, done, leave }: Asked & { leave?: () => void }) {
  const [withToken, setWithToken] = useState(strategy === 'token');
  const [error, setError] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string) => String(form.get(name) ?? '').trim();
    setBusy(true);
    setError(undefined);
    try {
      const session = withToken ? { token: text('token') } : await passwordSession(text, String(form.get('password') ?? ''));
      await check(session);
      done(session);
    } catch (failure) {
      const isRefused = failure instanceof ApiError && failure.status === 401 && withToken;
      setError(isRefused ? 'The service does not accept this token. It may have expired, or be for another service.' : words(failure));
      setBusy(false);
    }
  };
  return (
    <form class="panel" onSubmit={submit} aria-labelledby="sign-in-title">
      <Logo />
      <h1 id="sign-in-title">Sign in to Zun</h1>
      {leave !== undefined && error === undefined && (
        <p class="note" role="status">
          Your sign-in has expired. Sign in again to continue where you were.
        </p>
      )}
      {error !== undefined && <Failure text={error} />}
      {withToken ? <TokenField /> : <PasswordFields />}
      <button type="submit" class="button primary large" disabled={isBusy}>
        {isBusy ? 'Signing in…' : 'Sign in'}
      </button>
      {strategy === 'keystone' && (
        <button type="button" class="link" onClick={() => setWithToken(!withToken)}>
          {withToken ? 'Use a user name and password' : 'Use a token'}
        </button>
      )}
      {leave !== undefined && (
        <button type="button" class="link" onClick={leave}>
          Sign out, and close all consoles
        </button>
      )}
    </form>
  );
}

function TokenField() {
  return (
    <div class="field">
      <label for="token">Token</label>
      <input id="token" name="token" type="password" required autofocus autocomplete="off" spellcheck={false} aria-describedby="token-hint" />
      <span class="hint" id="token-hint">
        This tab keeps it until you sign out or close it.
      </span>
    </div>
  );
}

function PasswordFields() {
  return (
    <>
      <div class="field">
        <label for="user">User</label>
        <input id="user" name="user" type="text" required autofocus maxLength={255} autocomplete="username" spellcheck={false} />
      </div>
      <div class="field">
        <label for="password">Password</label>
        <input id="password" name="password" type="password" required maxLength={255} autocomplete="current-password" />
      </div>
      <div class="field">
        <label for="project">Project</label>
        <input id="project" name="project" type="text" required maxLength={255} autocomplete="organization" spellcheck={false} />
      </div>
      <details>
        <summary>Domains</summary>
        <div class="field-row">
          <div class="field">
            <label for="user-domain">User’s</label>
            <input id="user-domain" name="user-domain" type="text" required maxLength={255} value="Default" spellcheck={false} />
          </div>
          <div class="field">
            <label for="project-domain">Project’s</label>
            <input id="project-domain" name="project-domain" type="text" required maxLength={255} value="Default" spellcheck={false} />
          </div>
        </div>
      </details>
    </>
  );
}

async function passwordSession(text: (name: string) => string, password: string): Promise<Session> {
  const user = text('user');
  const token = await signIn({ user, password, project: text('project'), user_domain: text('user-domain'), project_domain: text('project-domain') });
  return { token, user: `${user} · ${text('project')}` };
}

/** Checks that the service accepts the token. */
async function check({ token }: Session): Promise<void> {
  if (token === undefined || !/^[\x21-\x7e]{1,8192}$/.test(token)) throw new ApiError(401, 'A token has no spaces.');
  await new Api(token).get('/v1/containers?limit=1');
}

export function Logo() {
  return (
    <svg class="logo" aria-hidden="true" viewBox="0 0 32 32">
      <rect width="32" height="32" rx="7" />
      <path d="M9 9.500h14L9 22.500h14" />
    </svg>
  );
}
