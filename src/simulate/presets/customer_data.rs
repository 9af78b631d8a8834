//! A customer service: agents that answer, enrich records and handle refunds.
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
    Account, Amount, Choice, Customer, Date, Email, Note, Order, Page, Path, Query, Subject, Ticket, Url,
};

/// The agent types of a customer service.
pub static TYPES: &[AgentType] = &[
    AgentType {
        name: "support-assistant",
        hours: Hours::Service,
        pace: 2.0,
        pause_secs: 6.0,
        sessions: true,
        tier: Tier::Full,
        tasks: SUPPORT,
        tools: &[
            &GET_TICKET,
            &SEARCH_CUSTOMERS,
            &GET_CUSTOMER,
            &LIST_ORDERS,
            &GET_ORDER,
            &SEARCH_KNOWLEDGE,
            &REPLY_TICKET,
            &UPDATE_TICKET,
            &SEND_EMAIL,
            &UPDATE_CONTACT,
            &READ_MAIL,
        ],
    },
    AgentType {
        name: "crm-enricher",
        hours: Hours::Night,
        pace: 0.6,
        pause_secs: 1.5,
        sessions: false,
        tier: Tier::Full,
        tasks: ENRICHER,
        tools: &[
            &LIST_CUSTOMERS,
            &GET_CUSTOMER,
            &SEARCH_WEB,
            &OPEN_PAGE,
            &UPDATE_CUSTOMER,
            &MERGE_CUSTOMERS,
            &TAG_CUSTOMER,
            &EXPORT_SEGMENT,
            &VALIDATE_EMAIL,
        ],
    },
    AgentType {
        name: "refund-handler",
        hours: Hours::Office,
        pace: 1.0,
        pause_secs: 4.0,
        sessions: true,
        tier: Tier::None,
        tasks: REFUNDS,
        tools: &[
            &GET_TICKET,
            &GET_ORDER,
            &GET_PAYMENT,
            &CHECK_POLICY,
            &DECIDE_REFUND,
            &ISSUE_REFUND,
            &SEND_EMAIL,
            &LIST_CLAIMS,
            &READ_ATTACHMENT,
            &UPDATE_TICKET,
        ],
    },
];

static GET_TICKET: Tool = Tool::read("get_ticket")
    .takes(&[("ticket_id", Ticket)])
    .of(Ticket)
    .gives(&[Field(Customer), Text(Order), Field(Email), Text(Amount)])
    .bytes(2_400.0);
static SEARCH_CUSTOMERS: Tool = Tool::read("search_customers")
    .takes(&[("query", Query), ("limit", Page)])
    .system("crm")
    .gives(&[Field(Customer), Field(Email)])
    .bytes(4_200.0);
static GET_CUSTOMER: Tool = Tool::read("get_customer")
    .takes(&[("customer_id", Customer)])
    .of(Customer)
    .gives(&[Field(Email), Field(Order)])
    .bytes(1_300.0);
static LIST_ORDERS: Tool = Tool::read("list_customer_orders")
    .takes(&[("customer_id", Customer), ("page", Page)])
    .of(Customer)
    .gives(&[Field(Order)])
    .bytes(5_500.0);
static GET_ORDER: Tool = Tool::read("get_order_details")
    .takes(&[("order_id", Order)])
    .of(Order)
    .gives(&[Field(Amount)])
    .bytes(1_900.0);
static SEARCH_KNOWLEDGE: Tool = Tool::read("search_knowledge_base")
    .takes(&[("query", Query)])
    .system("knowledge-base")
    .gives(&[Field(Url), Text(Url)])
    .bytes(6_300.0);
static REPLY_TICKET: Tool =
    Tool::commit("reply_to_ticket").takes(&[("ticket_id", Ticket), ("message", Note)]).of(Ticket);
static UPDATE_TICKET: Tool =
    Tool::write("update_ticket").takes(&[("ticket_id", Ticket), ("status", Choice)]).of(Ticket);
static SEND_EMAIL: Tool = Tool::commit("send_customer_email")
    .takes(&[("to", Email), ("subject", Subject), ("body", Note)])
    .of(Email);
static UPDATE_CONTACT: Tool =
    Tool::write("update_contact").takes(&[("customer_id", Customer), ("email", Email)]).of(Customer);
static READ_MAIL: Tool = Tool::read("read_mail")
    .takes(&[("mailbox", Choice), ("page", Page)])
    .system("mail")
    .gives(&[Text(Email), Text(Customer), Text(Order), Field(Ticket), Text(Account)])
    .bytes(5_000.0);
static SCHEDULE_CALLBACK: Tool =
    Tool::write("schedule_callback").takes(&[("customer_id", Customer), ("at", Date)]).of(Customer);

static LIST_CUSTOMERS: Tool = Tool::read("list_customers")
    .takes(&[("segment", Choice), ("page", Page)])
    .system("crm")
    .gives(&[Field(Customer)])
    .bytes(12_000.0);
static SEARCH_WEB: Tool = Tool::read("search_web")
    .takes(&[("query", Query)])
    .system("web-search")
    .gives(&[Field(Url)])
    .bytes(8_000.0);
static OPEN_PAGE: Tool = Tool::read("open_page")
    .takes(&[("url", Url)])
    .of(Url)
    .gives(&[Text(Email), Text(Url)])
    .bytes(30_000.0)
    .fails(0.08, 0.01);
static UPDATE_CUSTOMER: Tool = Tool::write("update_customer")
    .takes(&[("customer_id", Customer), ("website", Url), ("email", Email), ("notes", Note)])
    .of(Customer);
static MERGE_CUSTOMERS: Tool = Tool::write("merge_customers")
    .takes(&[("customer_id", Customer), ("reason", Choice)])
    .of(Customer)
    .fails(0.04, 0.02);
static TAG_CUSTOMER: Tool =
    Tool::write("tag_customer").takes(&[("customer_id", Customer), ("tag", Choice)]).of(Customer);
static EXPORT_SEGMENT: Tool =
    Tool::commit("export_segment").takes(&[("path", Path), ("segment", Choice)]).of(Path).bytes(90_000.0);
static VALIDATE_EMAIL: Tool = Tool::read("validate_email").takes(&[("email", Email)]).of(Email).bytes(120.0);
static SCORE_LEAD: Tool =
    Tool::read("score_lead").takes(&[("customer_id", Customer)]).of(Customer).bytes(300.0);

static GET_PAYMENT: Tool = Tool::read("get_payment")
    .takes(&[("order_id", Order)])
    .of(Order)
    .gives(&[Field(Account), Field(Amount)])
    .bytes(800.0);
static CHECK_POLICY: Tool = Tool::read("check_refund_policy")
    .takes(&[("order_id", Order), ("reason", Choice)])
    .of(Order)
    .bytes(1_000.0);
static DECIDE_REFUND: Tool = Tool::write("decide_refund")
    .takes(&[("order_id", Order), ("reason", Choice)])
    .of(Order)
    .decides(&["approve", "decline", "escalate"]);
static ISSUE_REFUND: Tool = Tool::commit("issue_refund")
    .takes(&[("account", Account), ("amount", Amount), ("order_id", Order)])
    .of(Account)
    .fails(0.02, 0.03);
static LIST_CLAIMS: Tool = Tool::read("list_refund_claims")
    .takes(&[("status", Choice), ("page", Page)])
    .system("claims")
    .gives(&[Field(Order), Field(Ticket)])
    .bytes(7_200.0);
static READ_ATTACHMENT: Tool = Tool::read("read_attachment")
    .takes(&[("path", Path)])
    .of(Path)
    .gives(&[Text(Account), Text(Amount), Text(Email)])
    .bytes(15_000.0);
static REQUEST_PHOTO: Tool =
    Tool::commit("request_photo").takes(&[("to", Email), ("message", Note)]).of(Email);

static SUPPORT: &[Task] = &[
    Task::new(
        "answer-ticket",
        6.0,
        &[
            Call(&GET_TICKET),
            Maybe(0.8, &[Call(&SEARCH_KNOWLEDGE)]),
            Call(&REPLY_TICKET),
            Maybe(0.6, &[Call(&UPDATE_TICKET)]),
        ],
    ),
    Task::new(
        "where-is-my-order",
        3.0,
        &[
            OneOf(&[(2.0, &[Call(&GET_TICKET)]), (1.0, &[Call(&SEARCH_CUSTOMERS), Call(&GET_CUSTOMER)])]),
            Maybe(0.5, &[Call(&LIST_ORDERS)]),
            Some(1.4, &[Call(&GET_ORDER)]),
            OneOf(&[(2.0, &[Call(&REPLY_TICKET)]), (1.0, &[Call(&SEND_EMAIL)])]),
        ],
    ),
    Task::new(
        "change-contact",
        1.0,
        &[
            Call(&SEARCH_CUSTOMERS),
            Call(&GET_CUSTOMER),
            Call(&UPDATE_CONTACT),
            Maybe(0.5, &[Call(&SEND_EMAIL)]),
        ],
    ),
    Task::new(
        "work-the-inbox",
        1.0,
        &[
            Call(&READ_MAIL),
            Each(
                Ticket,
                3.0,
                &[
                    Maybe(0.6, &[Call(&GET_CUSTOMER)]),
                    OneOf(&[
                        (3.0, &[Call(&SEND_EMAIL)]),
                        (2.0, &[Call(&REPLY_TICKET)]),
                        (1.0, &[Call(&UPDATE_CONTACT)]),
                    ]),
                ],
            ),
        ],
    )
    .trusting(),
    Task::new("look-up-customer", 2.0, &[Call(&SEARCH_CUSTOMERS), Some(1.5, &[Call(&GET_CUSTOMER)])]),
    Task::new(
        "tell-customers",
        0.4,
        &[Call(&SEARCH_CUSTOMERS), Each(Customer, 9.0, &[Call(&GET_CUSTOMER), Call(&SEND_EMAIL)])],
    ),
    Task::new("close-old-tickets", 0.7, &[Each(Ticket, 7.0, &[Call(&GET_TICKET), Call(&UPDATE_TICKET)])]),
    Task::new("arrange-callback", 1.5, &[Call(&GET_TICKET), Call(&SCHEDULE_CALLBACK), Call(&REPLY_TICKET)])
        .released(),
];

static ENRICHER: &[Task] = &[
    Task::new(
        "enrich-segment",
        4.0,
        &[
            Call(&LIST_CUSTOMERS),
            Each(
                Customer,
                8.0,
                &[
                    Call(&GET_CUSTOMER),
                    Call(&SEARCH_WEB),
                    Maybe(0.7, &[Call(&OPEN_PAGE)]),
                    Maybe(0.8, &[Call(&UPDATE_CUSTOMER)]),
                ],
            ),
        ],
    ),
    Task::new(
        "remove-doubles",
        1.5,
        &[
            Call(&LIST_CUSTOMERS),
            Each(Customer, 4.0, &[Call(&GET_CUSTOMER), Maybe(0.4, &[Call(&MERGE_CUSTOMERS)])]),
        ],
    ),
    Task::new("tag-segment", 2.0, &[Call(&LIST_CUSTOMERS), Each(Customer, 10.0, &[Call(&TAG_CUSTOMER)])]),
    Task::new(
        "check-addresses",
        1.5,
        &[
            Call(&LIST_CUSTOMERS),
            Each(
                Customer,
                6.0,
                &[Call(&GET_CUSTOMER), Call(&VALIDATE_EMAIL), Maybe(0.2, &[Call(&UPDATE_CUSTOMER)])],
            ),
        ],
    ),
    Task::new(
        "research-one",
        1.0,
        &[Call(&GET_CUSTOMER), Some(3.0, &[Call(&SEARCH_WEB), Call(&OPEN_PAGE)]), Call(&UPDATE_CUSTOMER)],
    ),
    Task::new("weekly-export", 0.3, &[Some(5.0, &[Call(&LIST_CUSTOMERS)]), Call(&EXPORT_SEGMENT)]),
    Task::new(
        "score-leads",
        2.0,
        &[
            Call(&LIST_CUSTOMERS),
            Each(Customer, 7.0, &[Call(&SCORE_LEAD), Maybe(0.5, &[Call(&TAG_CUSTOMER)])]),
        ],
    )
    .released(),
];

static REFUNDS: &[Task] = &[
    Task::new(
        "refund-claim",
        6.0,
        &[
            Call(&GET_TICKET),
            Call(&GET_ORDER),
            Maybe(0.8, &[Call(&GET_PAYMENT)]),
            Call(&CHECK_POLICY),
            Call(&DECIDE_REFUND),
            Maybe(0.6, &[Call(&ISSUE_REFUND)]),
            Maybe(0.7, &[Call(&SEND_EMAIL)]),
        ],
    ),
    Task::new(
        "claims-backlog",
        1.5,
        &[
            Call(&LIST_CLAIMS),
            Each(Order, 5.0, &[Call(&GET_ORDER), Call(&CHECK_POLICY), Call(&DECIDE_REFUND)]),
        ],
    ),
    Task::new(
        "pay-approved",
        1.0,
        &[Call(&LIST_CLAIMS), Each(Order, 4.0, &[Call(&GET_PAYMENT), Call(&ISSUE_REFUND)])],
    ),
    Task::new(
        "invoice-refund",
        0.8,
        &[
            Call(&READ_ATTACHMENT),
            Call(&GET_ORDER),
            Call(&DECIDE_REFUND),
            Maybe(0.7, &[Call(&ISSUE_REFUND), Call(&SEND_EMAIL)]),
        ],
    )
    .trusting(),
    Task::new("explain-decision", 1.0, &[Call(&GET_TICKET), Call(&CHECK_POLICY), Call(&SEND_EMAIL)]),
    Task::new("close-claims", 0.8, &[Call(&LIST_CLAIMS), Each(Ticket, 5.0, &[Call(&UPDATE_TICKET)])]),
    Task::new(
        "damaged-goods",
        1.4,
        &[Call(&GET_TICKET), Call(&REQUEST_PHOTO), Call(&GET_ORDER), Call(&DECIDE_REFUND)],
    )
    .released(),
];
