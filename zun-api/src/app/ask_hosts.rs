//! Sends a query to many hosts at once, for data that only the hosts have.

use futures_util::stream::{self, StreamExt as _};
use zun_common::id::HostName;
use zun_common::rpc::Call;

use super::{App, AppError, Caller};

/// How many hosts are asked at the same time.
const HOSTS_AT_ONCE: usize = 32;

/// What hosts have answered.
pub(super) struct HostAnswers<R> {
    /// The answers.
    pub(super) answers: Vec<(HostName, R)>,
    /// The hosts that are not up or did not answer in time, and why there is no answer.
    pub(super) unresponsive: Vec<(HostName, AppError)>,
}

impl<R> HostAnswers<R> {
    /// The hosts that did not answer.
    pub(super) fn unresponsive_hosts(&self) -> Vec<HostName> {
        self.unresponsive.iter().map(|(host, _)| host.clone()).collect()
    }

    /// The error if no answer contains the requested object: a host that did not answer may have it.
    pub(super) fn not_found(self, error: AppError) -> AppError {
        self.unresponsive.into_iter().next().map_or(error, |(_, why)| why)
    }
}

impl App {
    /// Sends each host its call.
    pub(super) async fn ask_hosts<C: Call>(
        &self,
        caller: &Caller,
        calls: impl IntoIterator<Item = (HostName, C)>,
    ) -> HostAnswers<C::Reply> {
        let ask = async |(host, call): (HostName, C)| {
            let answer = match self.live_host(&host).await {
                Ok(host) => self.call_agent(caller, &host, &call).await,
                Err(down) => Err(down),
            };
            (host, answer)
        };
        let answered: Vec<_> =
            stream::iter(calls).map(ask).buffer_unordered(HOSTS_AT_ONCE).collect().await;
        let mut asked = HostAnswers { answers: Vec::new(), unresponsive: Vec::new() };
        for (host, answer) in answered {
            match answer {
                Ok(answer) => asked.answers.push((host, answer)),
                Err(error) => asked.unresponsive.push((host, error)),
            }
        }
        asked
    }
}
