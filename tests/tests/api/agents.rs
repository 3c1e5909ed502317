//! Two agents that do not share a state directory: with one host name, or on one engine.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use zun_common::bus::CallError;
use zun_common::rpc::operation::{AgentIdentity, PROTOCOL, RegisterAgent, Registered};
use zun_common::rpc::{Code, Problem};
use zun_common::status::Status;
use zun_tests::scripted_agent::ScriptedAgent;

use crate::support::{ADMIN, ANN, Api, send};

fn identity(boot: &str) -> AgentIdentity {
    let data = Some("/var/lib/docker".to_owned());
    AgentIdentity { state: Uuid::new_v4(), boot: Some(boot.to_owned()), data }
}

fn agent(host: &str, engine: &str, identity: &AgentIdentity) -> RegisterAgent {
    RegisterAgent {
        host: host.parse().unwrap(),
        engine_id: engine.to_owned(),
        protocol: PROTOCOL,
        position: None,
        agent: Some(identity.clone()),
    }
}

/// Registers another agent, over the connection of one that there is.
async fn register(over: &ScriptedAgent, call: &RegisterAgent) -> Result<Registered, Problem> {
    over.call_api(call).await.map_err(|error| {
        let words = error.to_string();
        if let CallError::Refused { problem, .. } = error {
            return problem;
        }
        Problem::new(Code::Internal, words)
    })
}

async fn shown(api: &Api, host: &str) -> Value {
    api.get(ADMIN, &format!("/v1/hosts/{host}")).await.expect(200).json()
}

/// A host whose agent has sent its identity.
async fn first(api: &Api) -> ScriptedAgent {
    let first = api.agent("h1").await;
    first.identify(identity("a boot"));
    first.register().await;
    first.heartbeat(|_| {}).await.expect("its epoch");
    first
}

#[tokio::test]
async fn a_second_agent_of_a_host_is_refused_until_the_first_has_gone() {
    let api = Api::start().await;
    let first = first(&api).await;
    let cases = [
        ("engine of h1", "a boot", "for the same Docker engine, with another `state_directory`"),
        (
            "another engine",
            "another boot",
            "on another machine. Give one of the two machines another name",
        ),
    ];
    for (engine, boot, words) in cases {
        let second = agent("h1", engine, &identity(boot));
        let refused = register(&first, &second).await.unwrap_err();
        assert_eq!(refused.code, Code::Conflict);
        assert!(refused.message.contains(words), "{refused}");
        first.heartbeat(|_| {}).await.expect("its epoch continues");
        let host = shown(&api, "h1").await;
        assert_eq!(host["state"], "up");
        let reason = host["state_reason"].as_str().unwrap();
        assert!(
            reason.starts_with("another agent was refused: ") && reason.contains(words),
            "{reason}"
        );
    }
    let id = api.container(&first, "test", Status::Running).await;
    api.post(ANN, &format!("/v1/containers/{id}/stop"), Value::Null).await.expect(202);
    first.register_again().await.expect("it is the same agent");
    first.heartbeat(|beat| beat.leaving = true).await.expect("it shuts down");
    let second = agent("h1", "engine of h1", &identity("a boot"));
    register(&first, &second).await.expect("the first has gone");
    assert!(first.heartbeat(|_| {}).await.is_err(), "its epoch is over");
}

#[tokio::test]
async fn a_machine_that_was_booted_again_is_the_same_host() {
    let api = Api::start().await;
    let first = first(&api).await;
    let known = identity("a boot");
    first.heartbeat(|beat| beat.leaving = true).await.expect("it shuts down");
    register(&first, &agent("h1", "engine of h1", &known)).await.expect("registered");
    let booted = AgentIdentity { boot: Some("the next boot".to_owned()), ..known };
    register(&first, &agent("h1", "engine of h1", &booted)).await.expect("registered");
}

#[tokio::test]
async fn a_host_that_an_administrator_has_replaced_registers_at_once() {
    let api = Api::start().await;
    let first = first(&api).await;
    let second = agent("h1", "another engine", &identity("another boot"));
    register(&first, &second).await.unwrap_err();
    api.post(ADMIN, "/v1/hosts/h1/replace", Value::Null).await.expect(202);
    register(&first, &second).await.expect("the administrator has confirmed it");
    assert_eq!(shown(&api, "h1").await["state_reason"], Value::Null);
}

#[tokio::test]
async fn one_engine_is_one_host() {
    let api = Api::start().await;
    let first = first(&api).await;
    let id = api.container(&first, "test", Status::Running).await;
    let second = api.agent("h2").await;
    let same = agent("h2", "engine of h1", &identity("a boot"));
    let refused = register(&second, &same).await.unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    let words = "the Docker engine of host `h2` is that of host `h1`, on the same machine";
    assert!(refused.message.starts_with(words), "{refused}");
    for host in ["h1", "h2"] {
        let reason = shown(&api, host).await["state_reason"].clone();
        assert!(reason.as_str().is_some_and(|reason| reason.contains(words)), "{host}: {reason}");
    }
    // A renamed host would not know the containers of the former name.
    first.heartbeat(|beat| beat.leaving = true).await.expect("it shuts down");
    register(&second, &same).await.unwrap_err();
    first.heartbeat(|_| {}).await.ok();
    let cloned = agent("h2", "engine of h1", &identity("the boot of a cloned machine"));
    register(&second, &cloned).await.expect("its engine is another one");
    // Docker 20.10 gives all engines of a machine one ID.
    let data = Some("/var/lib/another-docker".to_owned());
    let other = AgentIdentity { data, ..identity("a boot") };
    register(&api.agent("h4").await, &agent("h4", "engine of h1", &other))
        .await
        .expect("another engine");
    let removed = send(api.request(Method::DELETE, ANN, &format!("/v1/containers/{id}?stop=true")));
    removed.await.expect(204);
    first.report(id, Status::Deleted, |_| {}).await;
    first.heartbeat(|beat| beat.leaving = true).await.expect("it shuts down");
    let renamed = agent("h3", "engine of h1", &identity("a boot"));
    let third = api.agent("h3").await;
    register(&third, &renamed).await.expect("the former name has no containers");
    assert_eq!(json!(shown(&api, "h3").await["hostname"]), "h3");
}

#[tokio::test]
async fn a_call_that_an_agent_of_another_epoch_has_received_is_sent_again() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let words = "this agent is not the one of epoch 1";
    agent.refuse("container.top", Problem::new(Code::StaleEpoch, words));
    let path = format!("/v1/containers/{id}/top");
    let refused = api.get(ANN, &path).await;
    assert_eq!(
        refused.refusal(),
        "503 container.busy The agent of host h1 is being replaced; try again in a second."
    );
    assert_eq!(refused.header("retry-after"), "1");
    let asked = agent.received().into_iter().filter(|call| call.method == "container.top").count();
    assert_eq!(asked, 5);
    // A command can have run although the agent that received its call again refuses it.
    agent.refuse("exec.run", Problem::new(Code::StaleEpoch, words));
    let execute = format!("/v1/containers/{id}/execute?command=date&run=true");
    let refused = api.post(ANN, &execute, Value::Null).await.refusal();
    assert!(refused.starts_with("504 container.host-silent "), "{refused}");
    let asked = agent.received().into_iter().filter(|call| call.method == "exec.run").count();
    assert_eq!(asked, 1);
    agent.accept("container.top");
    api.get(ANN, &path).await.expect(200);
}
