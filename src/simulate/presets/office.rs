//! An office: agents that keep mailboxes and calendars, and check expenses.
//!
//! Knows wording only; see [`super::super::grammar`] for what the words mean.

use crate::simulate::grammar::{
    AgentType,
    Give::{Field, Text},
    Hours,
    Step::{Call, Each, Maybe, OneOf, Some},
    Task, Tier, Tool,
};
use crate::simulate::kind::Kind::{
    Account, Amount, Choice, Date, Email, Note, Order, Page, Path, Query, Subject, Ticket, Url, User,
};

/// The agent types of an office.
pub static TYPES: &[AgentType] = &[
    AgentType {
        name: "mail-assistant",
        hours: Hours::Office,
        pace: 1.8,
        pause_secs: 5.0,
        sessions: true,
        tier: Tier::Full,
        tasks: MAIL,
        tools: &[
            &LIST_MAIL,
            &READ_MAIL,
            &SEARCH_MAIL,
            &SEND_MAIL,
            &FORWARD_MAIL,
            &FILE_MAIL,
            &LOOK_UP_PERSON,
            &LIST_EVENTS,
            &CREATE_EVENT,
            &OPEN_DOCUMENT,
        ],
    },
    AgentType {
        name: "expense-checker",
        hours: Hours::Service,
        pace: 0.8,
        pause_secs: 3.5,
        sessions: true,
        tier: Tier::Origin,
        tasks: EXPENSES,
        tools: &[
            &LIST_CLAIMS,
            &GET_CLAIM,
            &OPEN_RECEIPT,
            &LOOK_UP_POLICY,
            &LOOK_UP_PERSON,
            &DECIDE_CLAIM,
            &PAY_CLAIM,
            &ASK_CLAIMANT,
            &SEARCH_VENDOR,
        ],
    },
];

static LIST_MAIL: Tool = Tool::read("list_messages")
    .takes(&[("folder", Choice), ("page", Page)])
    .system("mail")
    .gives(&[Field(Ticket), Field(Email)])
    .bytes(7_500.0);
static READ_MAIL: Tool = Tool::read("read_message")
    .takes(&[("message_id", Ticket)])
    .of(Ticket)
    .gives(&[Field(Email), Text(Email), Text(Date), Text(Path), Text(Url)])
    .bytes(4_100.0);
static SEARCH_MAIL: Tool = Tool::read("search_messages")
    .takes(&[("query", Query), ("since", Date)])
    .system("mail")
    .gives(&[Field(Ticket)])
    .bytes(5_200.0);
static SEND_MAIL: Tool = Tool::commit("send_message")
    .takes(&[("to", Email), ("subject", Subject), ("body", Note), ("cc", Email)])
    .of(Email);
static FORWARD_MAIL: Tool =
    Tool::commit("forward_message").takes(&[("message_id", Ticket), ("to", Email)]).of(Ticket);
static FILE_MAIL: Tool =
    Tool::write("move_message").takes(&[("message_id", Ticket), ("folder", Choice)]).of(Ticket);
static LOOK_UP_PERSON: Tool = Tool::read("look_up_person")
    .takes(&[("user", User)])
    .of(User)
    .gives(&[Field(Email), Field(User)])
    .bytes(800.0);
static LIST_EVENTS: Tool = Tool::read("list_events")
    .takes(&[("user", User), ("from", Date), ("to", Date)])
    .of(User)
    .gives(&[Field(Date), Field(Email), Text(Url)])
    .bytes(3_100.0);
static CREATE_EVENT: Tool = Tool::write("create_event")
    .takes(&[("title", Subject), ("at", Date), ("attendees", Email)])
    .of(Email)
    .fails(0.04, 0.01);
static OPEN_DOCUMENT: Tool = Tool::read("open_document")
    .takes(&[("path", Path)])
    .of(Path)
    .gives(&[Text(Email), Text(Query)])
    .bytes(15_000.0)
    .fails(0.03, 0.02);
static DRAFT_MINUTES: Tool = Tool::write("draft_minutes").takes(&[("path", Path), ("text", Note)]).of(Path);

static LIST_CLAIMS: Tool = Tool::read("list_expense_claims")
    .takes(&[("state", Choice), ("page", Page)])
    .system("expenses")
    .gives(&[Field(Order), Field(User)])
    .bytes(6_000.0);
static GET_CLAIM: Tool = Tool::read("get_expense_claim")
    .takes(&[("claim", Order)])
    .of(Order)
    .gives(&[Field(Amount), Field(User), Field(Path), Text(Account)])
    .bytes(1_700.0);
static OPEN_RECEIPT: Tool = Tool::read("open_receipt")
    .takes(&[("path", Path)])
    .of(Path)
    .gives(&[Text(Amount), Text(Account), Text(Date)])
    .bytes(90_000.0)
    .fails(0.05, 0.01);
static LOOK_UP_POLICY: Tool = Tool::read("look_up_policy")
    .takes(&[("query", Query)])
    .system("policies")
    .gives(&[Field(Amount)])
    .bytes(2_300.0);
static DECIDE_CLAIM: Tool = Tool::write("decide_claim")
    .takes(&[("claim", Order), ("reason", Note)])
    .of(Order)
    .decides(&["accept", "reject", "ask"]);
static PAY_CLAIM: Tool = Tool::commit("pay_claim")
    .takes(&[("account", Account), ("amount", Amount), ("claim", Order)])
    .of(Account)
    .fails(0.03, 0.02);
static ASK_CLAIMANT: Tool =
    Tool::commit("ask_claimant").takes(&[("to", Email), ("question", Note)]).of(Email);
static SEARCH_VENDOR: Tool = Tool::read("search_vendor")
    .takes(&[("query", Query)])
    .system("vendors")
    .gives(&[Field(Account), Field(Url)])
    .bytes(2_900.0);
static COMPARE_TRIPS: Tool = Tool::read("compare_trips")
    .takes(&[("user", User), ("period", Date)])
    .of(User)
    .gives(&[Field(Order), Field(Amount)])
    .bytes(5_400.0);

static MAIL: &[Task] = &[
    Task::new(
        "work-the-inbox",
        4.0,
        &[
            Call(&LIST_MAIL),
            Each(
                Ticket,
                3.0,
                &[
                    Call(&READ_MAIL),
                    OneOf(&[(3.0, &[Call(&FILE_MAIL)]), (2.0, &[Call(&SEND_MAIL)]), (1.0, &[])]),
                ],
            ),
        ],
    ),
    Task::new("write-to", 3.0, &[Maybe(0.7, &[Call(&LOOK_UP_PERSON)]), Call(&SEND_MAIL)]),
    Task::new(
        "find-a-date",
        2.0,
        &[Some(2.5, &[Call(&LIST_EVENTS)]), Call(&CREATE_EVENT), Maybe(0.3, &[Call(&SEND_MAIL)])],
    ),
    Task::new("find-a-mail", 1.5, &[Call(&SEARCH_MAIL), Each(Ticket, 2.0, &[Call(&READ_MAIL)])]),
    Task::new(
        "do-as-the-mail-says",
        0.8,
        &[
            Call(&READ_MAIL),
            OneOf(&[
                (2.0, &[Call(&SEND_MAIL)]),
                (2.0, &[Call(&FORWARD_MAIL)]),
                (1.0, &[Call(&OPEN_DOCUMENT), Call(&SEND_MAIL)]),
                (1.0, &[Call(&CREATE_EVENT)]),
            ]),
        ],
    )
    .trusting(),
    Task::new("pass-on", 1.0, &[Call(&SEARCH_MAIL), Call(&LOOK_UP_PERSON), Call(&FORWARD_MAIL)]),
    Task::new(
        "minutes",
        1.2,
        &[Call(&LIST_EVENTS), Call(&OPEN_DOCUMENT), Call(&DRAFT_MINUTES), Maybe(0.6, &[Call(&SEND_MAIL)])],
    )
    .released(),
];

static EXPENSES: &[Task] = &[
    Task::new(
        "check-claim",
        5.0,
        &[
            Call(&GET_CLAIM),
            Some(2.0, &[Call(&OPEN_RECEIPT)]),
            Maybe(0.4, &[Call(&LOOK_UP_POLICY)]),
            Call(&DECIDE_CLAIM),
            Maybe(0.6, &[Call(&PAY_CLAIM)]),
        ],
    ),
    Task::new(
        "daily-round",
        2.0,
        &[Call(&LIST_CLAIMS), Each(Order, 5.0, &[Call(&GET_CLAIM), Call(&DECIDE_CLAIM)])],
    ),
    Task::new("ask-back", 1.5, &[Call(&GET_CLAIM), Call(&LOOK_UP_PERSON), Call(&ASK_CLAIMANT)]),
    Task::new(
        "check-vendor",
        1.0,
        &[Call(&OPEN_RECEIPT), Call(&SEARCH_VENDOR), Maybe(0.5, &[Call(&DECIDE_CLAIM)])],
    ),
    Task::new("pay-run", 1.0, &[Call(&LIST_CLAIMS), Each(Order, 4.0, &[Call(&PAY_CLAIM)])]),
    Task::new("pay-as-the-receipt-says", 0.5, &[Call(&OPEN_RECEIPT), Call(&PAY_CLAIM)]).trusting(),
    Task::new(
        "compare-trips",
        1.0,
        &[Call(&GET_CLAIM), Some(2.0, &[Call(&COMPARE_TRIPS)]), Call(&DECIDE_CLAIM)],
    )
    .released(),
];
