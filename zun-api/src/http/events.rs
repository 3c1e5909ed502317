//! `GET /v1/events`: server-sent events. The ID of each is a position, with which a client continues where it was
//! (`Last-Event-ID`). Not in OpenStack Zun's API.

use std::convert::Infallible;

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Datelike as _, NaiveDateTime, SubsecRound as _, Utc};
use futures_util::stream::unfold;
use serde::Serialize;
use zun_common::api::v1::event::{Actor, Event, EventsEnd};

use super::extract::{FromFields, Parsed};
use super::field::{Field, Rule, boolean_field, text_field};
use super::fields::Fields;
use super::response::ApiResult;
use super::routes::{Route, Waits, to};
use crate::app::events::{EventFilter, InvalidFilter, Item, WantedEvents};
use crate::app::{App, AppError, Caller, InvalidField, Permission};
use crate::db::event::{Position, Recorded};

const MEDIA_TYPE: &str = "text/event-stream";
const LAST_EVENT_ID: &str = "Last-Event-ID";

/// The route of the events.
pub(super) const ROUTES: &[Route] = &[Route::get(
    "/v1/events",
    "Follow what happens to containers, images, volumes and networks",
    to!(follow),
)
.for_all()
.reads::<Wanted>()
.streams::<Event>(MEDIA_TYPE)
.waits(Waits::Always)];

const TIME: Rule = Rule {
    description: "seconds since 1970, or a time such as `2026-11-23T18:00:00Z`",
    is_valid: |text| time(text).is_some(),
};
const FILTERS: Rule = Rule {
    description: "a JSON object of lists of strings with the keys `container`, `event`, `type`, `host`, `label` and `image`, \
                  such as `{\"event\":[\"die\",\"oom\"]}`",
    is_valid: |_text| true,
};

/// The events that a client wants.
pub(super) struct Wanted(WantedEvents);

impl FromFields for Wanted {
    const FIELDS: &'static [Field] = &[
        text_field(
            "since",
            TIME,
            "Begin with the events since this time; without it, only new events",
        ),
        text_field(
            "until",
            TIME,
            "End at this time. Without it, zun-api ends the response after an hour, and the client continues with \
             `Last-Event-ID`",
        ),
        text_field(
            "filters",
            FILTERS,
            "Only events that match every key: one of its values, or all of its labels",
        ),
        boolean_field("all_projects", "Include the events of all projects")
            .only(Permission::SeeAllProjects),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let mut stamp = |name| fields.text(name).and_then(|text| time(&text));
        let (since, until) = (stamp("since"), stamp("until"));
        let filter = fields.text("filters");
        let filter = filter.map(|text| {
            text.parse::<EventFilter>()
                .map_err(|InvalidFilter(rule)| InvalidField::new("filters", &text, rule))
        });
        let filter = filter.transpose()?.unwrap_or_default();
        let all_projects = fields.flag("all_projects");
        Ok(Self(WantedEvents { all_projects, after: None, since, until, filter }))
    }
}

fn time(text: &str) -> Option<NaiveDateTime> {
    let time = match seconds(text) {
        Some(time) => time,
        None => DateTime::parse_from_rfc3339(text).ok()?.to_utc(),
    };
    // A year that both databases can compare.
    (1970..=9999).contains(&time.year()).then(|| time.naive_utc())
}

fn seconds(text: &str) -> Option<DateTime<Utc>> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 9 {
        return None;
    }
    DateTime::from_timestamp(whole.parse().ok()?, format!("{part:0<9}").parse().ok()?)
}

/// Streams the events.
pub(super) async fn follow(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    input: Parsed<Wanted>,
) -> ApiResult {
    let after = last_event_id(&request)?;
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, MEDIA_TYPE));
    response.insert_header((CACHE_CONTROL, "no-store"));
    // nginx does not hold the answer back then.
    response.insert_header(("x-accel-buffering", "no"));
    if *request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    let items = app.into_inner().events(&caller, WantedEvents { after, ..input.0.0 }).await?;
    let sees_hosts = caller.require(Permission::SeeHosts).is_ok();
    let chunks = unfold(items, move |mut items| async move {
        let chunk = chunk(items.recv().await?, sees_hosts);
        Some((Ok::<_, Infallible>(chunk), items))
    });
    Ok(response.streaming(chunks))
}

fn last_event_id(request: &HttpRequest) -> Result<Option<Position>, InvalidField> {
    let Some(value) = request.headers().get(LAST_EVENT_ID) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    // A browser sends none, or an empty one, before it has got an ID.
    if text.is_empty() && value.is_empty() {
        return Ok(None);
    }
    let invalid = |_invalid| InvalidField::new(LAST_EVENT_ID, text, "the ID of an event");
    text.parse().map(Some).map_err(invalid)
}

/// The item as a server-sent event.
fn chunk(item: Item, sees_hosts: bool) -> Bytes {
    let text = match item {
        Item::Event(event) => {
            let id = event.position;
            format!("id: {id}\ndata: {}\n\n", json(&view(*event, sees_hosts)))
        }
        // An event without data only sets the ID. The comment is for those who watch.
        Item::Alive(position) => format!(": alive\nid: {position}\n\n"),
        Item::End(reason) => format!("event: end\ndata: {}\n\n", json(&EventsEnd { reason })),
    };
    Bytes::from(text)
}

/// JSON in one line. The values always have a JSON form.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn view(event: Recorded, sees_hosts: bool) -> Event {
    let Recorded { position: _, project, kind, action, subject, host, attributes, labels, at } =
        event;
    // As in Docker, the labels of a container are attributes too.
    let mut all = labels;
    all.extend(attributes);
    Event {
        time: at.and_utc().trunc_subsecs(6),
        kind,
        action,
        actor: Actor { id: subject, attributes: all },
        project_id: project,
        host: host.filter(|_| sees_hosts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_seconds_or_rfc_3339() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("1790000000.5", Some(1_790_000_000)),
            ("1970-01-02T00:00:00Z", Some(86_400)),
            ("1970-01-02T01:00:00+01:00", Some(86_400)),
            ("", None),
            (".", None),
            ("-1", None),
            ("tomorrow", None),
            ("99999999999999999999", None),
            ("0001-01-01T00:00:00Z", None),
        ] {
            assert_eq!(time(text).map(|time| time.and_utc().timestamp()), seconds, "{text}");
        }
    }

    #[test]
    fn an_event_is_one_block_of_lines() {
        let event = Recorded {
            position: "7.9".parse().unwrap(),
            project: "blue".to_owned(),
            kind: "container".to_owned(),
            action: "start".to_owned(),
            subject: "id".to_owned(),
            host: Some("h1".to_owned()),
            attributes: [("name".to_owned(), "a\nb".to_owned())].into(),
            labels: [("name".to_owned(), "no".to_owned())].into(),
            at: NaiveDateTime::default(),
        };
        assert_eq!(
            chunk(Item::Event(Box::new(event)), false),
            "id: 7.9\ndata: {\"time\":\"1970-01-01T00:00:00Z\",\"type\":\"container\",\"action\":\"start\",\
             \"actor\":{\"id\":\"id\",\"attributes\":{\"name\":\"a\\nb\"}},\"project_id\":\"blue\"}\n\n"
        );
        assert_eq!(chunk(Item::Alive("7.9".parse().unwrap()), true), ": alive\nid: 7.9\n\n");
    }
}
