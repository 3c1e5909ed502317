//! New clients replace disconnected ones.

use super::*;

/// A client with a grant of its own, at a session with room for many.
fn comes(
    session: &mut Session,
    (grant, may_write): (&str, bool),
    now: Instant,
) -> Result<Client, JoinRefused> {
    let key = KeyHash::of(grant.as_bytes());
    let token = Token::random().expect("random");
    let name = format!("s{}", session.last_id);
    let grant = grant.to_owned();
    let join = Join { name, token, key, grant, may_write, files: None, hello: hello() };
    let id = session.join(join, now)?;
    Ok(Client::of(session, key, id, now))
}

fn grants(session: &Session) -> Vec<String> {
    session.clients().into_iter().map(|client| client.grant).collect()
}

#[test]
fn a_new_client_replaces_the_one_that_has_been_disconnected_longest() {
    let (mut session, now) = (session(true), Instant::now());
    let disconnected = [("w1", true), ("r1", false), ("r2", false), ("r3", false)];
    for (second, client) in (0..).zip(disconnected) {
        let client = comes(&mut session, client, now).expect("joined");
        session.disconnect(client.id, Left::Lost, now + Duration::from_secs(second));
    }
    let later = now + Duration::from_mins(1);
    let _same =
        comes(&mut session, ("r3", false), later).expect("one of the same grant is replaced");
    assert_eq!(grants(&session), ["w1", "r1", "r2", "r3"]);
    let _writer =
        comes(&mut session, ("w2", true), later).expect("one that only watches is replaced");
    assert_eq!(grants(&session), ["w1", "r2", "r3", "w2"]);
    let _viewer =
        comes(&mut session, ("r4", false), later).expect("the last one that watches is replaced");
    assert_eq!(grants(&session), ["w1", "r3", "w2", "r4"]);
    let refused = comes(&mut session, ("r5", false), later).map(|_| ());
    assert_eq!(
        refused,
        Err(JoinRefused::Full),
        "a viewer takes no place of a client that may type"
    );
    let _writer =
        comes(&mut session, ("w3", true), later).expect("the disconnected writer is replaced");
    assert_eq!(grants(&session), ["r3", "w2", "r4", "w3"]);
    assert_eq!(comes(&mut session, ("w4", true), later).map(|_| ()), Err(JoinRefused::Full));
}

#[test]
fn the_clients_of_one_grant_leave_places_for_others() {
    let now = Instant::now();
    let process = session(true).process();
    let limits = Limits { attachments: 16, ..limits() };
    let files = Files::create(process, &limits.spill).expect("files");
    let mut session = Session::new(process, limits, files);
    let guests: Vec<_> =
        (0..14).map(|_| comes(&mut session, ("link", false), now).expect("joined")).collect();
    let refused = comes(&mut session, ("link", false), now).map(|_| ());
    assert_eq!(refused, Err(JoinRefused::FullForGrant));
    let _owner = comes(&mut session, ("owner", true), now).expect("there is room for others");
    session.disconnect(guests[3].id, Left::Lost, now);
    let _guest =
        comes(&mut session, ("link", false), now).expect("one of the same grant is replaced");
    assert_eq!(session.attachments(), 15);
}

#[test]
fn stdin_ends_if_a_client_that_watches_replaces_the_last_one_that_wrote() {
    let (mut session, now) = (session(false), Instant::now());
    let writer = comes(&mut session, ("g", true), now).expect("joined");
    writer.types(&mut session, b"x", now);
    let _viewers: Vec<_> =
        (0..3).map(|_| comes(&mut session, ("g", false), now).expect("joined")).collect();
    session.disconnect(writer.id, Left::Lost, now);
    let _viewer = comes(&mut session, ("g", false), now).expect("joined");
    assert_eq!(engine_reads(&mut session, now), (b"x".to_vec(), true));
}
