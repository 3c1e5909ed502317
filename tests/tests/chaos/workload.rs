//! The clients. Each works through its steps and shares with the others what it learned about names.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use zun_common::id::ContainerId;
use zun_tests::history::Answer;

use crate::client::Client;
use crate::plan::{IfFree, IfHeld, Step};

/// Which container has each name, as far as the clients know.
#[derive(Debug, Default)]
pub struct Board {
    names: Mutex<BTreeMap<String, ContainerId>>,
}

impl Board {
    fn get(&self, name: &str) -> Option<ContainerId> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    fn set(&self, name: &str, id: ContainerId) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), id);
    }

    fn forget(&self, id: ContainerId) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, held| *held != id);
    }
}

/// How long a client waits after a request that was refused because something is down, and because of the container's
/// status. So an outage does not use up the steps.
const BACKOFF: Duration = Duration::from_secs(3);
const SHORT_BACKOFF: Duration = Duration::from_secs(1);

/// Performs the steps of one client.
pub async fn work(client: &Client, board: &Board, (number, steps): (usize, &[Step])) {
    for step in steps {
        tokio::time::sleep(step.pause).await;
        let answer = match board.get(&step.name) {
            Some(id) => with_container(client, board, number, (step, id)).await,
            None => with_free_name(client, board, number, step).await,
        };
        if matches!(answer, Answer::Refused | Answer::Unknown { .. }) {
            tokio::time::sleep(BACKOFF).await;
        } else if let Some(id) = board.get(&step.name).filter(|_| answer == Answer::WrongStatus) {
            instead(client, number, (step, id)).await;
            tokio::time::sleep(SHORT_BACKOFF).await;
        }
    }
}

/// Starts a container that should run but does not, and uses one that runs already.
async fn instead(client: &Client, number: usize, (step, id): (&Step, ContainerId)) {
    match step.if_held {
        IfHeld::Exec | IfHeld::Stop | IfHeld::Kill => {
            client.act(number, id, "start").await;
        }
        IfHeld::Start => {
            client.exec(number, id).await;
        }
        IfHeld::Delete
        | IfHeld::DeleteStop
        | IfHeld::DeleteForce
        | IfHeld::Limit(_)
        | IfHeld::Rename(_)
        | IfHeld::Show
        | IfHeld::Find
        | IfHeld::List
        | IfHeld::Create(_) => {}
    }
}

async fn with_free_name(client: &Client, board: &Board, number: usize, step: &Step) -> Answer {
    let name = &step.name;
    let answer = match &step.if_free {
        IfFree::Create(new) => client.create(number, name, new).await,
        IfFree::Find => client.find(number, name).await,
    };
    note(client, board, (number, name), &answer).await;
    answer
}

/// Notes which container has a name. If it turns out to be another client's, asks for it.
async fn note(client: &Client, board: &Board, (number, name): (usize, &str), answer: &Answer) {
    match answer {
        Answer::Created(id) => board.set(name, *id),
        Answer::Found { id, name } => board.set(name, *id),
        Answer::NameTaken => {
            if let Answer::Found { id, name } = client.find(number, name).await {
                board.set(&name, id);
            }
        }
        Answer::Done
        | Answer::Listed(_)
        | Answer::NotFound
        | Answer::WrongStatus
        | Answer::Refused
        | Answer::Unknown { .. } => {}
    }
}

async fn with_container(
    client: &Client,
    board: &Board,
    number: usize,
    (step, id): (&Step, ContainerId),
) -> Answer {
    let answer = match &step.if_held {
        IfHeld::Delete => client.delete(number, id, "").await,
        IfHeld::DeleteStop => client.delete(number, id, "?stop=true").await,
        IfHeld::DeleteForce => client.delete(number, id, "?force=true").await,
        IfHeld::Start => client.act(number, id, "start").await,
        IfHeld::Stop => client.act(number, id, "stop").await,
        IfHeld::Kill => client.act(number, id, "kill").await,
        IfHeld::Exec => client.exec(number, id).await,
        IfHeld::Limit(memory) => client.limit(number, id, *memory).await,
        IfHeld::Show => client.show(number, id).await,
        IfHeld::Find => client.find(number, &step.name).await,
        IfHeld::List => {
            let listed = client.list(number).await;
            return listed.map_or(Answer::Refused, |_rows| Answer::Done);
        }
        IfHeld::Rename(to) => {
            let answer = client.rename(number, id, to).await;
            if answer == Answer::Done {
                board.forget(id);
                board.set(to, id);
            }
            answer
        }
        IfHeld::Create(new) => {
            let answer = client.create(number, &step.name, new).await;
            note(client, board, (number, &step.name), &answer).await;
            return answer;
        }
    };
    let deletes = matches!(step.if_held, IfHeld::Delete | IfHeld::DeleteStop | IfHeld::DeleteForce);
    if answer == Answer::NotFound || (deletes && answer == Answer::Done) {
        board.forget(id);
    }
    answer
}
