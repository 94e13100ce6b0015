//! The Lua door for PUC Lua (`csw_native`): the same backend interface as `lua/csw/ffi.lua` has over C. Translates; decides nothing.

use std::path::Path;
use std::time::Duration;

use mlua::{IntoLua, IntoLuaMulti, Lua, MultiValue, Table, UserData, UserDataMethods, Value};

use crate::error::{Code, Error, Result};
use crate::gate::inquiry::Expiring;
use crate::gate::parking::{Fate, Parcel, ParcelKind};
use crate::gate::reader::Answer;
use crate::gate::recorder::{Outcome, Report, Ticket};
use crate::gate::report::{By, Row};
use crate::gate::{Checked, Chosen, Decided, Does, Gate, Instead, Settings, Token};
use crate::party::{Business, Customer};
use crate::rules::event::{Category, Class, EventKind};
use crate::store::codec::Body;
use crate::time::{Span, Timestamp};
use crate::wire::record::{self, Stated};
use crate::wire::send::Endpoint;

/// The interface that `lua/csw/init.lua` asks for.
const ABI_VERSION: u32 = 1;

/// What `require "csw_native"` gives.
#[mlua::lua_module(name = "csw_native")]
fn module(lua: &Lua) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    module.set("version", env!("CARGO_PKG_VERSION"))?;
    module.set("abi_version", ABI_VERSION)?;
    module.set(
        "open",
        lua.create_function(|lua, path: mlua::LuaString| {
            let path = path.to_string_lossy();
            answer(lua, Gate::open(Path::new(&*path)).map(|gate| Core(Some(gate))))
        })?,
    )?;
    module.set(
        "open_text",
        lua.create_function(|lua, text: mlua::LuaString| {
            answer(lua, Gate::open_text(&text.to_string_lossy()).map(|gate| Core(Some(gate))))
        })?,
    )?;
    Ok(module)
}

/// A gate until it is closed.
struct Core(Option<Gate>);

impl Core {
    fn gate(&self) -> Result<&Gate> {
        self.0.as_ref().ok_or_else(|| Error::invalid("gate is closed, or was never opened"))
    }
}

impl UserData for Core {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("check", |lua, core, (business, customer, at): (Value, Value, Option<f64>)| {
            let (business, customer) = (text("business", &business)?, text("customer", &customer)?);
            match checked(core, &business, &customer, moment(at)) {
                Ok(Checked { window, .. }) => {
                    (window.state.word(), millis(window.expires_at), window.reason.word()).into_lua_multi(lua)
                }
                Err(error) => fault(lua, &error),
            }
        });
        methods.add_method("window", |lua, core, (business, customer, at): (Value, Value, Option<f64>)| {
            let (business, customer) = (text("business", &business)?, text("customer", &customer)?);
            let at = moment(at);
            let checked = checked(core, &business, &customer, at);
            answer(lua, checked.map(|checked| WindowTable(checked, at)))
        });
        methods.add_method(
            "decide",
            |lua, core, (business, body, at, endpoint): (Value, mlua::LuaString, Option<f64>, Option<String>)| {
                let endpoint = match endpoint.as_deref() {
                    None | Some("messages") => Endpoint::Messages,
                    Some("marketing_messages") => Endpoint::MarketingMessages,
                    Some(other) => return Err(mlua::Error::runtime(format!("csw: endpoint is {other}"))),
                };
                let (business, at) = (text("business", &business)?, moment(at));
                let decide = || core.gate()?.decide(Business::parse(&business)?, endpoint, &body.as_bytes(), at);
                answer(lua, decide().map(|decided| DecisionTable(decided, at)))
            },
        );
        methods.add_method("submit_record", |lua, core, event: Table| {
            let ticket = submit_record(core, &event)?;
            answer(lua, ticket.map(Ticket::number))
        });
        methods.add_method(
            "submit_ingest",
            |lua, core, (bytes, signature, at): (mlua::LuaString, Option<mlua::LuaString>, Option<f64>)| {
                let signature = signature.map(|signature| signature.to_string_lossy());
                let submit = || core.gate()?.submit_ingest(bytes.as_bytes().to_vec(), signature, moment(at));
                answer(lua, submit().map(Ticket::number))
            },
        );
        methods.add_method(
            "submit_settle",
            |lua, core, (token, status, body, at): (mlua::LuaString, f64, Option<mlua::LuaString>, Option<f64>)| {
                let body = body.map(|body| body.as_bytes().to_vec()).unwrap_or_default();
                let submit = || {
                    let (token, status) = settled(&token, status)?;
                    core.gate()?.submit_settle(token, status, body, moment(at))
                };
                answer(lua, submit().map(Ticket::number))
            },
        );
        methods.add_method("poll", |lua, core, ticket: f64| {
            outcome(lua, core.gate().and_then(|gate| gate.poll(Ticket::from_number(ticket as u64))))
        });
        methods.add_method("wait", |lua, core, (ticket, timeout_ms): (f64, f64)| {
            let within = Duration::from_millis(timeout_ms as u64);
            outcome(lua, core.gate().and_then(|gate| gate.wait(Ticket::from_number(ticket as u64), within)))
        });
        methods.add_method("submit_report", |lua, core, (from, to, by): (Option<f64>, Option<f64>, Vec<String>)| {
            let by = By::parse(by.iter().map(String::as_str)).map_err(mistake)?;
            let ticket = core.gate().and_then(|gate| gate.submit_report(moment(from), moment(to), by));
            answer(lua, ticket.map(Ticket::number))
        });
        methods.add_method("submit_expiring", |lua, core, (at, within_ms, limit): (Option<f64>, f64, f64)| {
            let within = Span::millis(within_ms as u32);
            let ticket = core.gate().and_then(|gate| gate.submit_expiring(moment(at), within, limit as usize));
            answer(lua, ticket.map(Ticket::number))
        });
        methods.add_method("submit_forget", |lua, core, (customer, business): (Value, Option<Value>)| {
            let customer = text("customer", &customer)?;
            let business = business.map(|business| text("business", &business)).transpose()?;
            let submit = || {
                let business = business.as_deref().map(Business::parse).transpose()?;
                core.gate()?.submit_forget(business, Customer::parse(&customer)?)
            };
            answer(lua, submit().map(Ticket::number))
        });
        methods.add_method(
            "instead",
            |lua, core, (business, body, at, index): (Value, mlua::LuaString, Option<f64>, f64)| {
                let (business, at) = (text("business", &business)?, moment(at));
                let instead =
                    || core.gate()?.instead(Business::parse(&business)?, &body.as_bytes(), at, index as usize);
                answer(lua, instead().map(|instead| InsteadTable(instead, at)))
            },
        );
        methods.add_method("submit_park", |lua, core, (gateway, business, body): (Value, Value, mlua::LuaString)| {
            let (gateway, business) = (text("gateway", &gateway)?, text("business", &business)?);
            let park = || core.gate()?.submit_park(&gateway, Business::parse(&business)?, body.as_bytes().to_vec());
            answer(lua, park().map(Ticket::number))
        });
        methods.add_method("submit_take", |lua, core, (gateway, at): (Value, Option<f64>)| {
            let gateway = text("gateway", &gateway)?;
            answer(lua, core.gate().and_then(|gate| gate.submit_take(&gateway, moment(at))).map(Ticket::number))
        });
        methods.add_method("parcel", |lua, core, ticket: f64| {
            match core.gate().and_then(|gate| gate.parcel(Ticket::from_number(ticket as u64))) {
                Ok(parcel) => parcel.map(|parcel| ParcelTable(Parcel::clone(&parcel))).into_lua_multi(lua),
                Err(error) => fault(lua, &error),
            }
        });
        methods.add_method("submit_return", |lua, core, (parcel, fate): (Table, String)| {
            let string = |key| parcel.get::<Value>(key).and_then(|value| text(&format!("parcel.{key}"), &value));
            let unknown = |what: &str, word: &str| {
                mlua::Error::runtime(format!("csw: {what} is {word}, which is none of its words"))
            };
            let (kind, business, customer) = (string("kind")?, string("business")?, string("customer")?);
            let (gateway, in_hand_until) = (string("gateway")?, moment(parcel.get("in_hand_until")?));
            let kind = ParcelKind::from_word(&kind).ok_or_else(|| unknown("parcel.kind", &kind))?;
            let fate = Fate::from_word(&fate).ok_or_else(|| unknown("fate", &fate))?;
            let id = parcel.get::<f64>("id")? as u64;
            let give_back = || {
                let (business, customer) = (Business::parse(&business)?, Customer::parse(&customer)?);
                let (waiting, dropped, body) = (0, 0, Body::default());
                let parcel = Parcel { kind, id, business, customer, gateway, in_hand_until, waiting, dropped, body };
                core.gate()?.submit_return(parcel, fate)
            };
            answer(lua, give_back().map(Ticket::number))
        });
        methods.add_method(
            "submit_keep",
            |lua,
             core,
             (gateway, token, status, response, body): (
                Value,
                mlua::LuaString,
                f64,
                mlua::LuaString,
                mlua::LuaString,
            )| {
                let gateway = text("gateway", &gateway)?;
                let keep = || {
                    let (token, status) = settled(&token, status)?;
                    core.gate()?.submit_keep(&gateway, token, status, &response.as_bytes(), body.as_bytes().to_vec())
                };
                answer(lua, keep().map(Ticket::number))
            },
        );
        methods.add_method("due", |lua, core, gateway: Value| {
            let gateway = text("gateway", &gateway)?;
            answer(lua, core.gate().and_then(|gate| gate.is_due(&gateway)))
        });
        methods.add_method("choose", |lua, core, (request, at): (mlua::LuaString, Option<f64>)| {
            let chosen = core.gate().and_then(|gate| gate.choose(&request.as_bytes(), moment(at)));
            answer(lua, chosen.map(ChosenTable))
        });
        methods.add_method("metrics", |lua, core, ()| answer(lua, core.gate().and_then(Gate::metrics)));
        methods.add_method("report_rows", |lua, core, ticket: f64| {
            let found = core.gate().and_then(|gate| gate.answer(Ticket::from_number(ticket as u64)));
            answer(
                lua,
                found.and_then(|found| match &*found {
                    Answer::Report(rows) => Ok(rows.iter().map(|row| RowTable(*row)).collect::<Vec<_>>()),
                    Answer::Expiring(_) => Err(Error::invalid("ticket: its rows are read with expiring_rows")),
                }),
            )
        });
        methods.add_method("expiring_rows", |lua, core, ticket: f64| {
            let found = core.gate().and_then(|gate| gate.answer(Ticket::from_number(ticket as u64)));
            answer(
                lua,
                found.and_then(|found| match &*found {
                    Answer::Expiring(rows) => Ok(rows.iter().map(|row| ExpiringTable(*row)).collect::<Vec<_>>()),
                    Answer::Report(_) => Err(Error::invalid("ticket: its rows are read with report_rows")),
                }),
            )
        });
        methods.add_method("handshake", |_, core, token: mlua::LuaString| {
            Ok(core.gate().is_ok_and(|gate| gate.is_verify_token(&token.as_bytes())))
        });
        methods.add_method("settings", |lua, core, business: Option<Value>| {
            let business = business.map(|business| text("business", &business)).transpose()?;
            answer(lua, settings(core, business.as_deref()))
        });
        methods.add_method("flush", |lua, core, timeout_ms: f64| {
            let within = Duration::from_millis(timeout_ms as u64);
            answer(lua, core.gate().and_then(|gate| gate.flush(within)).map(|()| true))
        });
        methods.add_method_mut("close", |_, core, ()| {
            core.0 = None;
            Ok(())
        });
    }
}

fn checked(core: &Core, business: &str, customer: &str, at: Timestamp) -> Result<Checked> {
    core.gate()?.check(Business::parse(business)?, &Customer::parse(customer)?, at)
}

/// Wrong words and types are the program's mistakes (the outer error), unreadable names its data's faults (the inner one).
fn submit_record(core: &Core, event: &Table) -> mlua::Result<Result<Ticket>> {
    let string = |key| event.get::<Value>(key).and_then(|value| text(&format!("event.{key}"), &value));
    let optional = |key| match event.get::<Value>(key)? {
        Value::Nil => Ok(None),
        value => text(&format!("event.{key}"), &value).map(Some),
    };
    let unknown =
        |key: &str, word: &str| mlua::Error::runtime(format!("csw: event.{key} is {word}, which is none of its words"));
    let kind = string("kind")?;
    let kind = EventKind::from_word(&kind).ok_or_else(|| unknown("kind", &kind))?;
    let class = optional("class")?.map(|word| Class::from_word(&word).ok_or_else(|| unknown("class", &word)));
    let category =
        optional("category")?.map(|word| Category::from_word(&word).ok_or_else(|| unknown("category", &word)));
    let (class, category) = (class.transpose()?, category.transpose()?);
    let (business, customer, id) = (string("business")?, string("customer")?, optional("id")?);
    let (template, language) = (optional("template")?, optional("language")?);
    let (at, code) = (moment(event.get("at")?), event.get::<Option<f64>>("code")?);
    let entry_point = event.get::<Option<bool>>("entry_point")?.unwrap_or(false);
    let stated = Stated {
        kind,
        business: &business,
        customer: &customer,
        id: id.as_deref().filter(|id| !id.is_empty()),
        at,
        class,
        category,
        template: template.as_deref().map(|name| (name, language.as_deref().unwrap_or_default())),
        entry_point,
        code: code.map(|code| code as i64).filter(|code| *code != 0),
    };
    Ok(core.gate().and_then(|gate| gate.submit_record(record::event(stated)?)))
}

/// The token of a decision that is settled, and the status that the platform answered with.
fn settled(token: &mlua::LuaString, status: f64) -> Result<(Token, u16)> {
    let expected = || Error::invalid(format!("http_status is {status}; expected 100 to 999"));
    let status = Some(status as u16).filter(|status| (100..1000).contains(status)).ok_or_else(expected)?;
    Ok((Token::from_bytes(&token.as_bytes())?, status))
}

fn settings(core: &Core, business: Option<&str>) -> Result<SettingsTable> {
    let business = business.map(Business::parse).transpose()?;
    core.gate().map(|gate| SettingsTable(gate.settings(business)))
}

/// A string, or a number as its digits; anything else is the program's mistake.
fn text(name: &str, value: &Value) -> mlua::Result<String> {
    match value {
        Value::String(text) => Ok(text.to_string_lossy()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Number(number) => Ok(format!("{number:.0}")),
        other => Err(mlua::Error::runtime(format!("csw: {name} is a {}, expected a string", other.type_name()))),
    }
}

fn moment(at: Option<f64>) -> Timestamp {
    match at {
        None | Some(0.0) => Timestamp::now(),
        Some(at) => Timestamp::from_millis(at as i64),
    }
}

fn millis(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::millis)
}

fn mistake(error: Error) -> mlua::Error {
    mlua::Error::runtime(format!("csw: {error}"))
}

fn fault(lua: &Lua, error: &Error) -> mlua::Result<MultiValue> {
    (Value::Nil, error.message(), error.code().word()).into_lua_multi(lua)
}

fn answer(lua: &Lua, result: Result<impl IntoLua>) -> mlua::Result<MultiValue> {
    match result {
        Ok(value) => value.into_lua_multi(lua),
        Err(error) => fault(lua, &error),
    }
}

fn outcome(lua: &Lua, outcome: Result<Outcome>) -> mlua::Result<MultiValue> {
    let error = match outcome {
        Ok(Outcome::Pending) => return "pending".into_lua_multi(lua),
        Ok(Outcome::Done(report)) => return ("done", RecordedTable(report)).into_lua_multi(lua),
        Ok(Outcome::Failed(error)) | Err(error) => error,
    };
    let word = match error.code() {
        Code::Timeout => "timeout",
        Code::Expired => "expired",
        _ => "failed",
    };
    (word, error.message(), error.code().word()).into_lua_multi(lua)
}

struct WindowTable(Checked, Timestamp);

impl IntoLua for WindowTable {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let Checked { window, branch } = self.0;
        let table = lua.create_table()?;
        table.set("state", window.state.word())?;
        table.set("branch", branch.word())?;
        table.set("reason", window.reason.word())?;
        table.set("expires_at", millis(window.expires_at))?;
        table.set("last_act", millis(window.last_act))?;
        table.set("free_entry_expires_at", millis(window.free_entry_expires_at))?;
        table.set("remaining", window.remaining(self.1).as_millis())?;
        table.into_lua(lua)
    }
}

struct DecisionTable(Decided, Timestamp);

impl IntoLua for DecisionTable {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let Decided { decision, business, at, customer, keep, token } = self.0;
        let token = token.to_bytes().map_err(mistake)?;
        let table = lua.create_table()?;
        table.set("verdict", decision.verdict.word())?;
        table.set("would_deny", decision.would_deny)?;
        table.set("reason", decision.reason.word())?;
        table.set("class", decision.class.word())?;
        table.set("category", decision.category.map(Category::word))?;
        table.set("estimated", decision.estimated)?;
        table.set("conversation", decision.placement.effect.word())?;
        table.set("conversation_category", decision.placement.category.map(|category| category.word()))?;
        table.set("charge", decision.charged.charge.map(|charge| charge.word()))?;
        table.set("charge_reason", decision.charged.reason.map(|reason| reason.word()))?;
        table.set("amount", decision.cost.amount.map(|amount| amount.to_string()))?;
        table.set("lowest", decision.cost.lowest.map(|amount| amount.to_string()))?;
        table.set("highest", decision.cost.highest.map(|amount| amount.to_string()))?;
        table.set("currency", decision.cost.currency.map(|currency| currency.to_string()))?;
        table.set("market", decision.cost.market.map(|market| market.word()))?;
        table.set("no_amount", decision.cost.no_amount.map(|why| why.word()))?;
        table.set("at", at.millis())?;
        table.set("business", business.to_string())?;
        table.set("prefer_free", decision.prefer_free)?;
        table.set("keep", keep)?;
        table.set("customer", customer.map(|customer| format!("{customer:?}")))?;
        table.set("branch", decision.branch.word())?;
        table.set("token", lua.create_string(token)?)?;
        let window = Checked { window: decision.window, branch: decision.branch };
        table.set("window", WindowTable(window, self.1))?;
        table.into_lua(lua)
    }
}

struct InsteadTable(Instead, Timestamp);

impl IntoLua for InsteadTable {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let Instead { kind, step, does } = self.0;
        let table = lua.create_table()?;
        table.set("kind", kind.word())?;
        table.set("step", step)?;
        match does {
            Ok(Does::Template { body, decided }) => {
                table.set("body", lua.create_string(body)?)?;
                table.set("decision", DecisionTable(*decided, self.1))?;
            }
            Ok(Does::Channel { location, to, text, id }) => {
                table.set("location", location)?;
                table.set("to", to)?;
                table.set("text", text)?;
                table.set("id", id)?;
            }
            Ok(Does::Park { to }) => table.set("to", to)?,
            Ok(Does::Block) => {}
            Err(unfit) => table.set("unfit", unfit.word())?,
        }
        table.into_lua(lua)
    }
}

struct ParcelTable(Parcel);

impl IntoLua for ParcelTable {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let Parcel { kind, id, business, customer, gateway, in_hand_until, waiting, dropped, body } = self.0;
        let table = lua.create_table()?;
        table.set("kind", kind.word())?;
        table.set("id", id)?;
        table.set("business", business.to_string())?;
        table.set("customer", customer.written())?;
        table.set("gateway", gateway)?;
        table.set("in_hand_until", in_hand_until.millis())?;
        table.set("waiting", waiting)?;
        table.set("dropped", dropped)?;
        if !body.0.is_empty() {
            table.set("body", lua.create_string(body.0)?)?;
        }
        table.into_lua(lua)
    }
}

struct ChosenTable(Chosen);

impl IntoLua for ChosenTable {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let Chosen { business, branch, is_forecast, body } = self.0;
        let table = lua.create_table()?;
        table.set("business", business.to_string())?;
        table.set("branch", branch.word())?;
        table.set("forecast", is_forecast)?;
        table.set("body", lua.create_string(body)?)?;
        table.into_lua(lua)
    }
}

struct RecordedTable(Report);

impl IntoLua for RecordedTable {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let report = self.0;
        let placement = report.last.map(|applied| applied.placement);
        let table = lua.create_table()?;
        table.set("events", report.events)?;
        table.set("repeated", report.events > 0 && report.repeated == report.events)?;
        table.set("ignored", report.ignored)?;
        table.set("unreadable", report.unreadable)?;
        table.set("conversation", placement.map_or("none", |placement| placement.effect.word()))?;
        table.set("conversation_category", placement.and_then(|placement| placement.category).map(|c| c.word()))?;
        table.set("category", report.last.and_then(|applied| applied.category).map(Category::word))?;
        table.into_lua(lua)
    }
}

struct RowTable(Row);

impl IntoLua for RowTable {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let row = self.0;
        let table = lua.create_table()?;
        table.set("day", row.group.day.map(|day| day.to_string()))?;
        table.set("business", row.group.business.map(|business| business.to_string()))?;
        table.set("class", row.group.class.map(Class::word))?;
        table.set("category", row.group.category.map(Category::word))?;
        table.set("conversation_category", row.group.conversation_category.map(|category| category.word()))?;
        table.set("charge", row.group.charge.map(|charge| charge.word()))?;
        table.set("charge_reason", row.group.charge_reason.map(|reason| reason.word()))?;
        table.set("market", row.group.market.map(|market| market.word()))?;
        table.set("basis", row.group.basis.map(|basis| basis.word()))?;
        table.set("currency", row.group.currency.map(|currency| currency.to_string()))?;
        table.set("messages", row.messages)?;
        table.set("conversations", row.conversations)?;
        table.set("free", row.free)?;
        table.set("billable", row.billable)?;
        table.set("reported", row.reported)?;
        table.set("unpriced", row.unpriced)?;
        table.set("stopped", row.stopped)?;
        table.set("refused", row.refused)?;
        table.set("dropped", row.dropped)?;
        table.set("amount", row.amount.to_string())?;
        table.into_lua(lua)
    }
}

struct ExpiringTable(Expiring);

impl IntoLua for ExpiringTable {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let table = lua.create_table()?;
        table.set("business", self.0.business.to_string())?;
        table.set("customer", self.0.customer.written())?;
        table.set("expires_at", self.0.expires_at.millis())?;
        table.into_lua(lua)
    }
}

struct SettingsTable(Settings);

impl IntoLua for SettingsTable {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let table = lua.create_table()?;
        table.set("fail", self.0.fail.word())?;
        table.set("mode", self.0.mode.word())?;
        table.set("test_clock", self.0.test_clock)?;
        table.set("prefer_free", self.0.prefer_free.word())?;
        table.set("token_file", self.0.token_file.as_deref().and_then(Path::to_str))?;
        table.into_lua(lua)
    }
}
