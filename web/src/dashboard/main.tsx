// The page: who has signed in, and which view is shown.

import '../shared/base.css';
import './style.css';
import { render } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Api, ApiError, strategy as askStrategy, type Strategy, words } from './api.ts';
import { ContainerPage } from './container.tsx';
import { Consoles } from './consoles.tsx';
import { Containers } from './containers.tsx';
import { type Desk, DeskContext, useDesk } from './context.ts';
import { Confirm, Failure, type Notice, Notices, type Question } from './dialog.tsx';
import { type Route, useRoute, useStore } from './hooks.ts';
import { Hosts } from './hosts.tsx';
import { Icon } from './icons.tsx';
import { forget, keep, kept } from './kept.ts';
import { Logo, type Session, SignIn, SignInAgain } from './sign_in.tsx';
import { Store } from './store.ts';

/** What the page knows about the user. `visit` counts the users who have signed in one after another. */
type State =
  | { step: 'asking' }
  | { step: 'unreachable'; error: string }
  | { step: 'signing-in'; strategy: Strategy }
  | { step: 'in'; session: Session; visit: number };

function Page() {
  const [state, setState] = useState<State>({ step: 'asking' });
  const begin = () => {
    const session = kept();
    if (session !== undefined) {
      setState({ step: 'in', session, visit: 0 });
      return;
    }
    askStrategy().then(
      (strategy) => setState(strategy === undefined ? { step: 'in', session: {}, visit: 0 } : { step: 'signing-in', strategy }),
      (error: unknown) => setState({ step: 'unreachable', error: words(error) }),
    );
  };
  useEffect(begin, []);
  const leave = () => {
    forget();
    setState({ step: 'asking' });
    begin();
  };
  switch (state.step) {
    case 'asking':
      return null;
    case 'unreachable':
      return (
        <main class="sign-in">
          <div class="panel">
            <Logo />
            <h1>Zun cannot be reached</h1>
            <Failure text={state.error} retry={begin} />
          </div>
        </main>
      );
    case 'signing-in': {
      const done = (session: Session) => {
        keep(session);
        setState({ step: 'in', session, visit: 0 });
      };
      return <SignIn strategy={state.strategy} done={done} />;
    }
    case 'in': {
      // The next user must not see the consoles of the previous one.
      const renew = (session: Session) => {
        keep(session);
        setState({ step: 'in', session, visit: session.user === state.session.user ? state.visit : state.visit + 1 });
      };
      return <Workplace key={state.visit} session={state.session} renew={renew} leave={leave} />;
    }
  }
}

/** The page of a user who has signed in. It stays when the token is replaced, and so do open consoles. */
function Workplace({ session, renew, leave }: { session: Session; renew: (session: Session) => void; leave: () => void }) {
  const store = useMemo(() => new Store(new Api(session.token)), []);
  const [expired, setExpired] = useState<Strategy>();
  const [seesHosts, setSeesHosts] = useState(false);
  const [question, setQuestion] = useState<Question>();
  const [notice, setNotice] = useState<Notice>();
  useEffect(() => {
    store.api.onExpired = (strategy) => {
      forget();
      setExpired(strategy);
    };
    store.start();
    return () => {
      // A late answer must not end the next session.
      store.api.onExpired = undefined;
      store.close();
    };
  }, []);
  useEffect(() => {
    store.api.get('/v1/hosts?limit=1').then(
      () => setSeesHosts(true),
      (error: unknown) => {
        if (!(error instanceof ApiError)) console.error(error);
        else if (error.status === 403) setSeesHosts(false);
      },
    );
  }, [session.token]);
  const signedIn = (next: Session) => {
    setExpired(undefined);
    if (next.user === session.user) store.api.renew(next.token);
    renew(next);
  };
  const desk: Desk = useMemo(
    () => ({ store, seesHosts, ask: setQuestion, say: (text, isError = false) => setNotice({ text, isError }) }),
    [seesHosts],
  );
  return (
    <DeskContext.Provider value={desk}>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <Bar store={store} session={session} seesHosts={seesHosts} leave={leave} />
      <Main />
      {question && <Confirm question={question} close={() => setQuestion(undefined)} />}
      <Notices notice={notice} close={() => setNotice(undefined)} />
      {expired && <SignInAgain strategy={expired} done={signedIn} leave={leave} />}
    </DeskContext.Provider>
  );
}

/** The address names the view, so the link cannot name a part of it. */
function skip(event: Event): void {
  event.preventDefault();
  document.querySelector<HTMLElement>('main h1')?.focus();
}

let isFirstView = true;

function Main() {
  const route = useRoute();
  const view = route.page === 'container' ? `container ${route.id}` : route.page;
  useEffect(() => {
    // Screen readers read the heading of a view that replaces another one.
    if (!isFirstView) document.querySelector<HTMLElement>('main h1')?.focus({ preventScroll: true });
    isFirstView = false;
    window.scrollTo(0, 0);
  }, [view]);
  const { store } = useDesk();
  useStore(store);
  const found = route.page === 'container' ? store.find(route.id) : undefined;
  // The UUID of a container that is gone is known only from before, if the address has its name.
  const last = useRef<{ id: string; uuid: string } | undefined>(undefined);
  if (route.page === 'container' && found !== undefined) last.current = { id: route.id, uuid: found.uuid };
  const isConsoles = route.page === 'container' && route.tab === 'consoles';
  const owner = isConsoles ? (found?.uuid ?? (last.current?.id === route.id ? last.current.uuid : route.id)) : undefined;
  return (
    <main id="main">
      <View route={route} />
      <Consoles owner={owner} container={isConsoles ? found : undefined} />
    </main>
  );
}

function View({ route }: { route: Route }) {
  switch (route.page) {
    case 'container':
      return <ContainerPage key={route.id} id={route.id} tab={route.tab} />;
    case 'hosts':
      return <Hosts />;
    case 'containers':
      return <Containers />;
  }
}

function Bar({ store, session, seesHosts, leave }: { store: Store; session: Session; seesHosts: boolean; leave: () => void }) {
  return (
    <header class="top">
      <a class="brand" href="#/">
        <Logo />
        Zun
      </a>
      {seesHosts && <Places />}
      <div class="spacer" />
      <LinkState store={store} />
      {session.user !== undefined && <span class="user">{session.user}</span>}
      {session.token !== undefined && (
        <button type="button" class="icon" aria-label="Sign out" title="Sign out" onClick={leave}>
          <Icon name="leave" />
        </button>
      )}
    </header>
  );
}

function Places() {
  const { page } = useRoute();
  return (
    <nav aria-label="Main">
      <a href="#/" aria-current={page === 'hosts' ? undefined : 'page'}>
        Containers
      </a>
      <a href="#/hosts" aria-current={page === 'hosts' ? 'page' : undefined}>
        Hosts
      </a>
    </nav>
  );
}

/** Whether changes appear by themselves. */
function LinkState({ store }: { store: Store }) {
  useStore(store);
  const text = { connecting: 'Connecting…', live: 'Live', away: 'Reconnecting…' };
  return (
    <span class="link-state" role="status" data-link={store.link}>
      <span class="mark" aria-hidden="true" />
      <span class="words">{text[store.link]}</span>
    </span>
  );
}

render(<Page />, document.getElementById('page') as HTMLElement);
