/*
 * csw: WhatsApp's customer service window for messaging gateways.
 *
 * Made from the Rust sources by make header; do not edit.
 *
 * The contract that all functions share
 *
 * Status      Functions return CSW_OK, CSW_PENDING (csw_poll only), or a negative csw_code. A denied send is a result, not an error.
 * Outputs     Are written only on success; the csw_error, which may be NULL, only on failure.
 * Structs     Begin with a size, which the caller sets to sizeof before the call. The library writes and reads no more than that, so programs
 *             and libraries of different minor versions go together. Enumerations stand in structs as int32_t; their numbers are never reused.
 * Strings     Come in as pointer and length in bytes; they need no zero byte and are not kept after the call. NULL with length 0 is an empty
 *             one. Strings that come out stand in the caller's structs, closed with a zero byte; those of csw_*_name and csw_version are
 *             constants of the library.
 * Times       Are Unix milliseconds (int64_t); 0 as an argument is the wall clock, 0 in a result is none.
 * NULL        As a gate, a string with a length, or a required output: CSW_CODE_INVALID. csw_close(NULL) does nothing.
 * Ownership   csw_open gives a gate, csw_close takes it back. Nothing else is owned by the caller, nothing is freed by it.
 * Threads     A gate may be used by all threads at once. csw_close must not run while another call uses the same gate.
 *             A gate that was closed is recognised and answered with CSW_CODE_INVALID.
 * Fork        A gate opened before a fork and not used yet works in the parent and in every child. A store that was used before the fork
 *             answers CSW_CODE_FORKED in the child, through every gate: use it first after the fork. Closing such a gate there is harmless.
 * Blocking    csw_check, csw_decide, csw_instead_of, csw_choose, csw_due, csw_submit_*, csw_poll, csw_parcel_of and csw_*_rows never wait for a
 *             disk, a network, or another process. The first use of a gate in a process opens the store. csw_record, csw_ingest, csw_settle, csw_forget, csw_wait and csw_flush wait, within a bound;
 *             csw_report reads for as long as there are totals.
 * Panics      A fault inside the library is caught at its boundary and returned as CSW_CODE_INTERNAL; the host goes on.
 * Signals     The library starts one thread per store on first use, and another with the first csw_submit_report or csw_submit_expiring, with
 *             all signals blocked, and installs no handlers.
 * Versions    csw_abi_version() of the loaded library must equal CSW_ABI_VERSION of this header.
 */


#ifndef CSW_H
#define CSW_H

#include <stddef.h>
#include <stdint.h>

#define CSW_VERSION "0.1.0"


// The call did what it says.
#define CSW_OK 0

// The ticket is not decided yet (csw_poll).
#define CSW_PENDING 1

// The major version of this interface; csw_abi_version() gives that of the library that was loaded.
#define CSW_ABI_VERSION 1

// The endpoint of a send: POST /{version}/{phone-number-id}/messages.
#define CSW_ENDPOINT_MESSAGES 0

// The endpoint of a send: POST /{version}/{phone-number-id}/marketing_messages.
#define CSW_ENDPOINT_MARKETING_MESSAGES 1

// What a send does to the conversations.
enum csw_conversation {
  // It opens one.
  CSW_CONVERSATION_OPENS = 1,
  // It joins one that is open.
  CSW_CONVERSATION_JOINS = 2,
  // Neither.
  CSW_CONVERSATION_NONE = 3,
};

// Why a charge has no amount.
enum csw_no_amount {
  // The number has no currency in the configuration.
  CSW_NO_AMOUNT_NO_CURRENCY = 1,
  // No rate card of that currency holds on the day.
  CSW_NO_AMOUNT_NO_RATE_CARD = 2,
  // The customer's country cannot be told: a group, or a calling code that nobody has.
  CSW_NO_AMOUNT_NO_MARKET = 3,
  // The card names no rate for the market and category.
  CSW_NO_AMOUNT_NO_RATE = 4,
};

// What kind of fault a call reports. The numbers are negative and never reused.
enum csw_code {
  // An argument is missing or malformed (a junk customer, a null pointer, a closed handle).
  CSW_CODE_INVALID = -1,
  // The configuration cannot be used; the message names the key.
  CSW_CODE_CONFIG = -2,
  // The body of a send cannot be read; a gateway answers 400 and never forwards it.
  CSW_CODE_BODY = -3,
  // The body of a webhook is not JSON; a gateway answers 400.
  CSW_CODE_NOT_JSON = -4,
  // The webhook's signature does not match any configured secret, or none is configured; a gateway answers 401.
  CSW_CODE_SIGNATURE = -5,
  // A body is larger than 3 MiB or nested deeper than 32 levels; a gateway answers 413.
  CSW_CODE_TOO_LARGE = -6,
  // The recorder's queue is full; nothing was taken, try again. A gateway answers 503.
  CSW_CODE_BUSY = -7,
  // The ticket's deadline passed: the outcome is unknown, and repeating is harmless.
  CSW_CODE_TIMEOUT = -8,
  // The ticket's outcome is too old to be remembered.
  CSW_CODE_EXPIRED = -9,
  // The store was used before this process was forked; use it first after the fork.
  CSW_CODE_FORKED = -10,
  // The store failed; the message says what to do. Nothing was recorded.
  CSW_CODE_STORE = -11,
  // The store is not ours, damaged, or written by a newer version; it was left as it is.
  CSW_CODE_FORMAT = -12,
  // A fault inside csw that was caught at its boundary; the host goes on.
  CSW_CODE_INTERNAL = -13,
};

// Whether free-form messages may be sent.
enum csw_state {
  // They may.
  CSW_STATE_OPEN = 1,
  // They may not; approved templates may.
  CSW_STATE_CLOSED = 2,
  // No act of the customer and no refusal is on record.
  CSW_STATE_UNKNOWN = 3,
};

// Why a window is as it is, or a send may or may not go out.
enum csw_reason {
  // The customer acted within the window.
  CSW_REASON_WINDOW_OPEN = 1,
  // A free entry point lets it through.
  CSW_REASON_FREE_ENTRY_POINT = 2,
  // A template needs no window.
  CSW_REASON_TEMPLATE = 3,
  // Receipts and typing indicators need nothing.
  CSW_REASON_RECEIPT = 4,
  // The customer's last act is too long ago.
  CSW_REASON_WINDOW_CLOSED = 20,
  // Nothing is known of this customer.
  CSW_REASON_NEVER_SEEN = 21,
  // The platform refused a send since the customer's last act.
  CSW_REASON_REFUSED_BY_PLATFORM = 22,
  // The template is rejected, paused, disabled, or not yet approved.
  CSW_REASON_TEMPLATE_NOT_APPROVED = 23,
  // The template is not in the catalogue.
  CSW_REASON_TEMPLATE_UNKNOWN = 24,
  // The number is switched off in the configuration.
  CSW_REASON_NUMBER_NOT_ENABLED = 25,
  // A user id stands in to; the platform would drop the message silently.
  CSW_REASON_USER_ID_IN_TO = 26,
  // The send would cost more than was allowed for it.
  CSW_REASON_OVER_COST = 27,
  // csw has a fault, and sends pass when it has.
  CSW_REASON_FAULT_OPEN = 40,
  // csw has a fault, and sends stop when it has.
  CSW_REASON_FAULT_CLOSED = 41,
};

// What kind of thing an event says.
enum csw_event_kind {
  // The customer sent something.
  CSW_EVENT_KIND_CUSTOMER_MESSAGE = 1,
  // The customer called, answered or not.
  CSW_EVENT_KIND_CUSTOMER_CALL = 2,
  // The customer took a call from the business.
  CSW_EVENT_KIND_CALL_ACCEPTED = 3,
  // The platform accepted a message of the business.
  CSW_EVENT_KIND_BUSINESS_MESSAGE = 4,
  // The platform sent it on.
  CSW_EVENT_KIND_SENT = 5,
  // It reached the customer's device.
  CSW_EVENT_KIND_DELIVERED = 6,
  // The customer saw it.
  CSW_EVENT_KIND_READ = 7,
  // It will not arrive.
  CSW_EVENT_KIND_FAILED = 8,
  // A template was approved, paused, disabled, ...
  CSW_EVENT_KIND_TEMPLATE_STATUS = 9,
  // A template's category changed.
  CSW_EVENT_KIND_TEMPLATE_CATEGORY = 10,
  // A customer goes by another name now.
  CSW_EVENT_KIND_IDENTITY = 11,
};

// The class of a send: what the platform takes it for, by its whole body.
enum csw_class {
  // Anything that needs an open window.
  CSW_CLASS_FREE_FORM = 1,
  // An approved template, or a Direct Send with a template category.
  CSW_CLASS_TEMPLATE = 2,
  // A reaction to a customer's message: needs a window, opens nothing, is free.
  CSW_CLASS_REACTION = 3,
  // A read receipt or a typing indicator: passes always.
  CSW_CLASS_RECEIPT = 4,
  // Something that this library does not know; counts as free-form.
  CSW_CLASS_UNKNOWN = 5,
};

// The category of a message.
enum csw_category {
  // Promotions, offers, invitations.
  CSW_CATEGORY_MARKETING = 1,
  // About an order, an account, an appointment.
  CSW_CATEGORY_UTILITY = 2,
  // One-time passcodes.
  CSW_CATEGORY_AUTHENTICATION = 3,
  // One-time passcodes at the rate for senders from abroad.
  CSW_CATEGORY_AUTHENTICATION_INTERNATIONAL = 4,
  // Free-form messages.
  CSW_CATEGORY_SERVICE = 5,
  // A template whose category nobody named: accounted as marketing and marked estimated.
  CSW_CATEGORY_UNKNOWN = 6,
};

// The category of a conversation.
enum csw_conversation_category {
  // Opened by a marketing template.
  CSW_CONVERSATION_CATEGORY_MARKETING = 1,
  // Opened by a utility template.
  CSW_CONVERSATION_CATEGORY_UTILITY = 2,
  // Opened by an authentication template.
  CSW_CONVERSATION_CATEGORY_AUTHENTICATION = 3,
  // Opened by a free-form message.
  CSW_CONVERSATION_CATEGORY_SERVICE = 4,
  // Opened by a click on an entry point, or by the reply to it.
  CSW_CONVERSATION_CATEGORY_FREE_ENTRY_POINT = 5,
};

// Whether a send may go out.
enum csw_verdict {
  // It may.
  CSW_VERDICT_ALLOW = 1,
  // It may not.
  CSW_VERDICT_DENY = 2,
};

// Whether a message is charged.
enum csw_charge {
  // It costs nothing.
  CSW_CHARGE_FREE = 1,
  // It is charged.
  CSW_CHARGE_BILLABLE = 2,
  // It cannot be said.
  CSW_CHARGE_UNKNOWN = 3,
};

// Why a message is or is not charged.
enum csw_charge_reason {
  // Free-form messages are free under these rules.
  CSW_CHARGE_REASON_SERVICE_FREE = 1,
  // It lies within the month's free service messages of the number.
  CSW_CHARGE_REASON_FREE_TIER = 2,
  // A utility template inside the window.
  CSW_CHARGE_REASON_IN_WINDOW = 3,
  // It lies inside a free entry point.
  CSW_CHARGE_REASON_FREE_ENTRY_POINT = 4,
  // Its conversation is open already.
  CSW_CHARGE_REASON_JOINS_CONVERSATION = 5,
  // It opens a conversation.
  CSW_CHARGE_REASON_OPENS_CONVERSATION = 6,
  // Every message of its kind is charged.
  CSW_CHARGE_REASON_PER_MESSAGE = 7,
  // Reactions are never charged.
  CSW_CHARGE_REASON_REACTION = 8,
  // No rate is known for it.
  CSW_CHARGE_REASON_NO_RATE = 9,
};

// Whose word a charge is.
enum csw_basis {
  // Our own reckoning.
  CSW_BASIS_ESTIMATED = 1,
  // The platform's report.
  CSW_BASIS_REPORTED = 2,
};

// What is done with a verdict.
enum csw_mode {
  // Denied sends are stopped.
  CSW_MODE_ENFORCE = 1,
  // Everything passes; what would have been stopped is marked.
  CSW_MODE_MONITOR = 2,
  // Everything passes, for numbers on stacks that have no window.
  CSW_MODE_OFF = 3,
};

// What happens to sends when csw itself has a fault.
enum csw_fail {
  // They pass.
  CSW_FAIL_OPEN = 1,
  // They are stopped.
  CSW_FAIL_CLOSED = 2,
};

// What the rows of a report are grouped by.
enum csw_by {
  // The day in the account's time zone.
  CSW_BY_DAY = 1,
  // The business's number.
  CSW_BY_BUSINESS = 2,
  // The class of the messages.
  CSW_BY_CLASS = 4,
  // The category of the messages.
  CSW_BY_CATEGORY = 8,
  // The category of the conversations.
  CSW_BY_CONVERSATION_CATEGORY = 16,
  // Why messages are or are not charged.
  CSW_BY_CHARGE_REASON = 32,
  // Whether they are charged.
  CSW_BY_CHARGE = 64,
  // The customers' market.
  CSW_BY_MARKET = 128,
  // The currency that numbers are billed in. Amounts of two currencies are never added up: every report is grouped by it.
  CSW_BY_CURRENCY = 256,
  // Whether charges are estimated, or reported by the platform.
  CSW_BY_BASIS = 512,
};

// What is done about a billable template while its text could go out free-form for nothing.
enum csw_prefer_free {
  // Nothing.
  CSW_PREFER_FREE_OFF = 1,
  // It passes, and the decision says so.
  CSW_PREFER_FREE_NOTE = 2,
  // It is denied.
  CSW_PREFER_FREE_REFUSE = 3,
};

// What kind of thing a step does.
enum csw_step_kind {
  // Answers that the window is closed. The last step of every branch.
  CSW_STEP_KIND_BLOCK = 1,
  // Sends an approved template that carries the text.
  CSW_STEP_KIND_TEMPLATE = 2,
  // Gives the text to another channel.
  CSW_STEP_KIND_CHANNEL = 3,
  // Keeps the message until the customer's next act.
  CSW_STEP_KIND_PARK = 4,
};

// Why a step cannot serve a message; the next one is tried then.
enum csw_unfit {
  // Only a plain text can become a template's parameter or go another way.
  CSW_UNFIT_NOT_TEXT = 1,
  // The text is longer than the parameter may be.
  CSW_UNFIT_TOO_LONG = 2,
  // The catalogue does not know the template.
  CSW_UNFIT_TEMPLATE_UNKNOWN = 3,
  // The template is rejected, paused, disabled, or not yet approved.
  CSW_UNFIT_TEMPLATE_NOT_APPROVED = 4,
  // The template's category is none of those that the step allows, or nobody has named it.
  CSW_UNFIT_CATEGORY_NOT_ALLOWED = 5,
  // It would cost more than the step allows, or nobody can tell what it costs.
  CSW_UNFIT_OVER_COST = 6,
  // No phone number of the customer is known.
  CSW_UNFIT_NO_PHONE_NUMBER = 7,
  // The message is larger than what is kept.
  CSW_UNFIT_TOO_LARGE = 8,
  // The template would be denied itself.
  CSW_UNFIT_DENIED = 9,
  // Nobody has said to which business account the number belongs, and so which templates it has.
  CSW_UNFIT_ACCOUNT_UNKNOWN = 10,
};

// What a message or send that is handed out is.
enum csw_parcel_kind {
  // A parked message.
  CSW_PARCEL_KIND_PARKED = 1,
  // The template that asks a customer with a new backlog to write.
  CSW_PARCEL_KIND_NUDGE = 2,
  // A message that the platform took and then refused: the closed branch is run for it.
  CSW_PARCEL_KIND_REFUSED = 3,
};

// What became of a message or send that was handed out.
enum csw_fate {
  // The platform took it.
  CSW_FATE_SENT = 1,
  // The window is closed again: it waits for the customer's next act.
  CSW_FATE_CLOSED = 2,
  // It cannot be sent now (throttled, or the platform was not reached): it is tried again a little later.
  CSW_FATE_LATER = 3,
  // The platform refused it for good.
  CSW_FATE_REFUSED = 4,
  // Nobody can tell whether the platform took it: it is given up, since it must not go out twice.
  CSW_FATE_LOST = 5,
};

// A gate: a configuration and its store. Opaque, and no address: never look behind it.
//
// Methods: csw_open, csw_open_text, csw_check, csw_decide, csw_record, csw_ingest, csw_settle, csw_submit_record, csw_submit_ingest,
// csw_submit_settle, csw_poll, csw_wait, csw_flush, csw_event_fd, csw_report, csw_handshake, csw_settings_of, csw_instead_of,
// csw_submit_park, csw_submit_take, csw_submit_return, csw_submit_keep, csw_parcel_of, csw_due, csw_choose, csw_metrics, csw_forget,
// csw_submit_report, csw_report_rows, csw_submit_expiring, csw_expiring_rows, csw_submit_forget, csw_close.
typedef struct csw_gate csw_gate;

// What went wrong. Set size to sizeof(csw_error) before the call; written only when a call fails.
typedef struct csw_error {
  // sizeof(csw_error), set by the caller.
  uint32_t size;
  // The status that the call returned: a csw_code.
  int32_t code;
  // What is wrong, where, and what to do; UTF-8, closed with a zero byte, phone numbers redacted.
  char message[512];
} csw_error;

// A customer's window at a moment. Set size before the call.
typedef struct csw_window {
  // sizeof(csw_window), set by the caller.
  uint32_t size;
  // A csw_state: open, closed, or unknown.
  int32_t state;
  // A csw_state: open or closed; an unknown state falls where the configuration says.
  int32_t branch;
  // A csw_reason: why.
  int32_t reason;
  // The first moment at which it is closed, the margin taken off, also when that has passed; Unix ms, 0 for none.
  int64_t expires_at;
  // The customer's last act that opens a window; Unix ms, 0 for none.
  int64_t last_act;
  // When the free entry point ends, if one is open; Unix ms, 0 for none.
  int64_t free_entry_expires_at;
  // How long it stays open from the moment that was asked for; ms, 0 when it is not.
  int64_t remaining_ms;
} csw_window;

// The answer about a send. Plain bytes: it may be copied, and kept until the platform has answered. Set size before the call.
typedef struct csw_decision {
  // sizeof(csw_decision), set by the caller.
  uint32_t size;
  // A csw_verdict: whether the send may go out.
  int32_t verdict;
  // 1 when it would have been denied, were the number's mode not monitor.
  int32_t would_deny;
  // A csw_reason: why.
  int32_t reason;
  // A csw_class.
  int32_t message_class;
  // A csw_category; 0 for receipts.
  int32_t category;
  // 1 when the category is a guess.
  int32_t estimated;
  // A csw_conversation: what it would do; the order of commits decides in the end.
  int32_t conversation;
  // A csw_conversation_category; 0 for none.
  int32_t conversation_category;
  // A csw_charge; 0 for none (denied sends, receipts, reactions).
  int32_t charge;
  // A csw_charge_reason; 0 for none.
  int32_t charge_reason;
  // A csw_no_amount: why there is no amount; 0 where there is one, or no price at all.
  int32_t no_amount;
  // 1 when it is a billable template whose text could go out free-form for nothing, and the number asks to be told (prefer_free).
  int32_t prefer_free;
  // 1 when the body is to be given to csw_submit_keep once the platform has accepted it.
  int32_t keep;
  // Must be ignored.
  int32_t reserved;
  // How many bytes of token are used.
  uint32_t token_length;
  // For which moment it was decided; Unix ms.
  int64_t at;
  // The business's phone number id as a number, also where the send named another number that stands for it.
  uint64_t business;
  // The customer's window.
  struct csw_window window;
  // What it would cost by what is known now, as an exact decimal in currency; empty for none.
  char amount[40];
  // The least that it can come to: other than amount where that depends on the monthly free tier.
  char lowest[40];
  // The most that it can come to.
  char highest[40];
  // The currency that the number is billed in, such as EUR; empty for none.
  char currency[4];
  // The customer's market, such as india or rest_of_africa; empty where it cannot be told.
  char market[44];
  // The customer, redacted, for logs; empty for none.
  char customer[40];
  // What csw_settle needs to know of the send: for it alone to read, not for logs (the customer's name is in it).
  uint8_t token[768];
} csw_decision;

// Something that happened, to be recorded. Clear it (memset), set size, and set what the kind needs.
typedef struct csw_event {
  // sizeof(csw_event), set by the caller.
  uint32_t size;
  // A csw_event_kind from customer_message to failed; the others come from the platform alone (csw_ingest).
  int32_t kind;
  // The business's phone number id.
  const char *business;
  // Its length in bytes.
  size_t business_length;
  // The customer: a phone number, a user id, or group:<id>.
  const char *customer;
  // Its length in bytes.
  size_t customer_length;
  // The message's id; NULL for none. An event without an id is never recognised as repeated.
  const char *id;
  // Its length in bytes.
  size_t id_length;
  // When it happened; Unix ms, 0 for now. The future is clamped to now.
  int64_t at;
  // business_message: a csw_class; 0 for free_form, or template when a category other than service is given.
  int32_t message_class;
  // business_message: a csw_category; 0 for service, or unknown for templates.
  int32_t category;
  // customer_message: 1 when the customer came through an entry point (a click on an ad or a call to action).
  int32_t entry_point;
  // Must be 0.
  int32_t reserved;
  // failed: the platform's error code; 131047 and 470 close the window.
  int64_t code;
  // business_message: the template's name; NULL for none.
  const char *template_name;
  // Its length in bytes.
  size_t template_name_length;
  // business_message: the template's language, such as en_US; NULL for none.
  const char *template_language;
  // Its length in bytes.
  size_t template_language_length;
} csw_event;

// What recording did. Set size before the call.
typedef struct csw_recorded {
  // sizeof(csw_recorded), set by the caller.
  uint32_t size;
  // Events recorded.
  uint32_t events;
  // Of them, those that had been recorded before and changed nothing.
  uint32_t repeated;
  // Parts of a webhook that are none of csw's business.
  uint32_t ignored;
  // Parts of a webhook that could not be read; the rest was recorded.
  uint32_t unreadable;
  // A csw_conversation: what the (last) message of the business did.
  int32_t conversation;
  // A csw_conversation_category; 0 for none.
  int32_t conversation_category;
  // A csw_category; 0 for none.
  int32_t category;
  // The unreadable parts, each by its place, a line each, cut where the room ends; closed with a zero byte.
  char unreadable_text[1024];
} csw_recorded;

// What a gateway needs to know of the configuration. Set size before the call.
typedef struct csw_settings {
  // sizeof(csw_settings), set by the caller.
  uint32_t size;
  // A csw_fail: what happens to sends when csw itself has a fault.
  int32_t fail;
  // A csw_mode: what is done with a verdict for this number.
  int32_t mode;
  // 1 when the gateway may take the time from the header X-CSW-At.
  int32_t test_clock;
  // A csw_prefer_free: what is done about billable templates whose text could go out free-form for nothing.
  int32_t prefer_free;
  // Must be ignored.
  int32_t reserved;
  // The file that holds the number's access token, for sends that the gateway makes by itself: read it anew for each. Empty for none.
  char token_file[1008];
} csw_settings;

// What a step of the closed branch makes of a denied send. Set size before the call.
typedef struct csw_instead {
  // sizeof(csw_instead), set by the caller.
  uint32_t size;
  // A csw_step_kind.
  int32_t kind;
  // A csw_unfit: why the step cannot serve the send; 0 where it can. The next step is to be tried then.
  int32_t unfit;
  // Must be ignored.
  int32_t reserved;
  // The step as it is written in csw.toml, such as template:order_update; closed with a zero byte.
  char step[80];
  // Channels: where the gateway reaches it.
  char location[256];
  // Channels: the customer's phone number, its digits alone. Park: the customer as the send names them. Not for logs.
  char to[592];
  // Channels: a fresh id for the text.
  char id[40];
  // Templates: the decision about the body that is sent instead, to settle it with.
  struct csw_decision decision;
} csw_instead;

// A parked message, or something else that is to be sent. Plain bytes: it may be copied. Set size before the call.
typedef struct csw_parcel {
  // sizeof(csw_parcel), set by the caller.
  uint32_t size;
  // A csw_parcel_kind; 0 where there is nothing to do.
  int32_t kind;
  // How many messages of the customer wait, this one among them.
  uint32_t waiting;
  // How many were given up for it.
  uint32_t dropped;
  // Its number.
  uint64_t id;
  // The business's phone number id as a number.
  uint64_t business;
  // Until when who took it has it in hand; Unix ms.
  int64_t in_hand_until;
  // The kind of gateway that it is for.
  char gateway[40];
  // The customer: a phone number, a user id, or group:<id>. Not for logs.
  char customer[144];
} csw_parcel;

// The send that a workflow's request comes to. Set size before the call.
typedef struct csw_choice {
  // sizeof(csw_choice), set by the caller.
  uint32_t size;
  // A csw_state: the branch, open or closed.
  int32_t branch;
  // 1 where the request asks for a later moment: nothing is to be sent now, and then it is to be asked again.
  int32_t forecast;
  // Must be ignored.
  int32_t reserved;
  // The business's phone number id as a number.
  uint64_t business;
} csw_choice;

// A row of a report. Fields that the report is not grouped by are 0.
typedef struct csw_report_row {
  // sizeof(csw_report_row), set by the caller in the first row.
  uint32_t size;
  // A csw_class.
  int32_t message_class;
  // A csw_category.
  int32_t category;
  // A csw_conversation_category.
  int32_t conversation_category;
  // A csw_charge_reason.
  int32_t charge_reason;
  // A csw_charge.
  int32_t charge;
  // A csw_basis: whether charges are estimated, or reported by the platform.
  int32_t basis;
  // Must be ignored.
  int32_t reserved;
  // The business's phone number id as a number.
  uint64_t business;
  // Messages that went out.
  int64_t messages;
  // Conversations that they opened.
  int64_t conversations;
  // Charges that fell due and are nothing.
  int64_t free;
  // Charges that fell due and are something.
  int64_t billable;
  // Of all charges, those that the platform has reported; the others are estimated.
  int64_t reported;
  // Billable charges without an amount, since no rate is known for them.
  int64_t unpriced;
  // Sends that csw stopped.
  int64_t stopped;
  // Sends and messages that the platform refused.
  int64_t refused;
  // Parked messages that were given up.
  int64_t dropped;
  // What the charges come to, in millionths of the currency's unit, rounded half to even.
  int64_t amount_micros;
  // The day in the account's time zone, as 2026-10-01; empty when not grouped by day.
  char day[16];
  // The currency of the row's amount, such as EUR; empty where the numbers have none.
  char currency[4];
  // What the charges come to, as an exact decimal.
  char amount[44];
  // The market, such as india; empty when not grouped by market.
  char market[48];
} csw_report_row;

// A window that is about to close.
typedef struct csw_expiring_window {
  // sizeof(csw_expiring_window), set by the caller in the first row.
  uint32_t size;
  // Must be ignored.
  int32_t reserved;
  // The business's phone number id as a number.
  uint64_t business;
  // When it closes; Unix ms.
  int64_t expires_at;
  // The customer: a phone number, a user id, or group:<id>. Not for logs.
  char customer[144];
} csw_expiring_window;











#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Opens a gate by its configuration file (csw.toml).
//
// Reads and validates the configuration and its secrets, and nothing else: the store opens on first use in each process, so a gate opened
// before a fork works in every child.
//
// Errors: CSW_CODE_CONFIG names the file, the line and the key at fault; CSW_CODE_INVALID.
int32_t csw_open(const char *path,
                 size_t path_length,
                 struct csw_gate **gate,
                 struct csw_error *error);

// Opens a gate by the text of a configuration; paths in it are relative to the working directory.
//
// Errors: as csw_open.
int32_t csw_open_text(const char *text, size_t text_length, struct csw_gate **gate, struct csw_error *error);

// Closes a gate. What was submitted is finished first, for at most two seconds. NULL, and a gate that is closed already, are ignored.
//
// No other call may be using the gate, and none may use it afterwards.
void csw_close(struct csw_gate *gate);

// A customer's window at a moment: may free-form messages go out?
//
// One read of mapped memory: no lock, no system call. at is Unix ms, 0 for now; the future may be asked for.
//
// Errors: CSW_CODE_INVALID for a business or customer that cannot be read; CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
int32_t csw_check(const struct csw_gate *gate,
                  const char *business,
                  size_t business_length,
                  const char *customer,
                  size_t customer_length,
                  int64_t at,
                  struct csw_window *window,
                  struct csw_error *error);

// May this send go out, and what would it open and cost? body is what a client posts to the Cloud API: JSON, form fields, or either gzipped.
//
// The platform must read what csw has read: forward the body alone, without message fields in the query, and with the Content-Type that it was
// read as (JSON when it begins with a brace, else form fields).
//
// Nothing is recorded. A denied send is a result, not an error. endpoint is one of CSW_ENDPOINT_*; at is Unix ms, 0 for now.
//
// Errors: CSW_CODE_BODY and CSW_CODE_TOO_LARGE when the body cannot be read: never forward it; CSW_CODE_INVALID, CSW_CODE_STORE,
// CSW_CODE_FORMAT, CSW_CODE_FORKED.
int32_t csw_decide(const struct csw_gate *gate,
                   const char *business,
                   size_t business_length,
                   int32_t endpoint,
                   const char *body,
                   size_t body_length,
                   int64_t at,
                   struct csw_decision *decision,
                   struct csw_error *error);

// Records one event and waits until it is on disk. recorded may be NULL.
//
// Errors: CSW_CODE_INVALID; CSW_CODE_BUSY when too much is waiting; CSW_CODE_TIMEOUT when the outcome is unknown (repeating is harmless
// when the event has an id); CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
int32_t csw_record(const struct csw_gate *gate,
                   const struct csw_event *event,
                   struct csw_recorded *recorded,
                   struct csw_error *error);

// Verifies, parses and records a webhook, and waits until its events are on disk. recorded may be NULL.
//
// signature is the value of X-Hub-Signature-256, NULL when there is none. Event times after at (Unix ms, 0 for now) are clamped to it.
//
// Errors: CSW_CODE_SIGNATURE (answer 401), CSW_CODE_NOT_JSON (400), CSW_CODE_TOO_LARGE (413), CSW_CODE_BUSY, CSW_CODE_TIMEOUT and
// CSW_CODE_STORE (503: the platform repeats it), CSW_CODE_INVALID, CSW_CODE_FORMAT, CSW_CODE_FORKED.
int32_t csw_ingest(const struct csw_gate *gate,
                   const char *bytes,
                   size_t bytes_length,
                   const char *signature,
                   size_t signature_length,
                   int64_t at,
                   struct csw_recorded *recorded,
                   struct csw_error *error);

// Records what the platform answered to a send that csw_decide let pass, and waits until it is on disk. recorded may be NULL.
//
// 2xx answers record the message under the id in the response; of all others only 131047 and 470 say something about the window.
//
// Errors: as csw_record.
int32_t csw_settle(const struct csw_gate *gate,
                   const struct csw_decision *decision,
                   int32_t http_status,
                   const char *response,
                   size_t response_length,
                   int64_t at,
                   struct csw_recorded *recorded,
                   struct csw_error *error);

// As csw_record, but returns at once with a ticket for csw_poll. Blocks on nothing.
//
// Errors: CSW_CODE_INVALID, CSW_CODE_BUSY (nothing was taken), CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
int32_t csw_submit_record(const struct csw_gate *gate,
                          const struct csw_event *event,
                          uint64_t *ticket,
                          struct csw_error *error);

// As csw_ingest, but returns at once with a ticket for csw_poll: the bytes are copied, and verified by the recorder. Blocks on nothing.
//
// Errors: as csw_submit_record; what is wrong with the webhook is said by csw_poll.
int32_t csw_submit_ingest(const struct csw_gate *gate,
                          const char *bytes,
                          size_t bytes_length,
                          const char *signature,
                          size_t signature_length,
                          int64_t at,
                          uint64_t *ticket,
                          struct csw_error *error);

// As csw_settle, but returns at once with a ticket for csw_poll. Blocks on nothing. Until somebody asks for the ticket, others gather with it for up
// to 10 ms, so that one commit takes them all.
//
// Errors: as csw_submit_record.
int32_t csw_submit_settle(const struct csw_gate *gate,
                          const struct csw_decision *decision,
                          int32_t http_status,
                          const char *response,
                          size_t response_length,
                          int64_t at,
                          uint64_t *ticket,
                          struct csw_error *error);

// How a ticket stands: CSW_PENDING, CSW_OK once it is on disk (recorded is written, unless NULL), or the error that it failed with.
//
// Errors: what the submitted call would have returned; CSW_CODE_TIMEOUT when its deadline (30 s) passed undecided: the outcome is unknown, and
// repeating is harmless; CSW_CODE_EXPIRED when newer tickets have pushed it out; CSW_CODE_INVALID when it was never issued.
int32_t csw_poll(const struct csw_gate *gate,
                 uint64_t ticket,
                 struct csw_recorded *recorded,
                 struct csw_error *error);

// As csw_poll, but waits for the outcome, at most timeout_ms. Never returns CSW_PENDING.
//
// Errors: as csw_poll; CSW_CODE_TIMEOUT when the time is over first.
int32_t csw_wait(const struct csw_gate *gate,
                 uint64_t ticket,
                 uint32_t timeout_ms,
                 struct csw_recorded *recorded,
                 struct csw_error *error);

// Waits until everything submitted so far is on disk or has failed, at most timeout_ms.
//
// Errors: CSW_CODE_TIMEOUT, CSW_CODE_FORKED, CSW_CODE_INVALID.
int32_t csw_flush(const struct csw_gate *gate, uint32_t timeout_ms, struct csw_error *error);

// A descriptor (eventfd) that becomes readable when tickets were decided, for epoll or poll. It stays the gate's: do not close it; read its
// eight bytes to reset it, then csw_poll the tickets that are out.
//
// Errors: CSW_CODE_INVALID, CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
int32_t csw_event_fd(const struct csw_gate *gate,
                     int32_t *fd,
                     struct csw_error *error);

// The webhook's verification handshake: CSW_OK when this is a configured verify token. Compared in constant time.
//
// Errors: CSW_CODE_SIGNATURE when it is not (answer 403); CSW_CODE_INVALID.
int32_t csw_handshake(const struct csw_gate *gate, const char *token, size_t token_length, struct csw_error *error);

// What a gateway needs to know of the configuration of a number; business may be NULL for numbers that are not listed.
//
// Errors: CSW_CODE_INVALID.
int32_t csw_settings_of(const struct csw_gate *gate,
                        const char *business,
                        size_t business_length,
                        struct csw_settings *settings,
                        struct csw_error *error);

// The library's version, as "0.1.0".
const char *csw_version(void);

// The major version of the library's interface: refuse to go on when it is not CSW_ABI_VERSION.
uint32_t csw_abi_version(void);

// What the closed branch of a number makes of a denied send at its step of this index, counted from 0: call it with one index after the other until
// a step can serve the send. The last step is always CSW_STEP_KIND_BLOCK.
//
// A template's new body (JSON, for the endpoint of messages), or a channel's text, is copied to text where it fits into capacity; length says how
// long it is, also where it does not fit and nothing was copied: give 128 KiB. text may be NULL when capacity is 0.
//
// Errors: CSW_CODE_BODY and CSW_CODE_TOO_LARGE when the body cannot be read; CSW_CODE_INVALID, CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
int32_t csw_instead_of(const struct csw_gate *gate,
                       const char *business,
                       size_t business_length,
                       const char *body,
                       size_t body_length,
                       int64_t at,
                       uint32_t index,
                       struct csw_instead *instead,
                       char *text,
                       size_t capacity,
                       size_t *length,
                       struct csw_error *error);

// Parks a denied send until its customer's next act, and returns at once with a ticket for csw_poll; once that is CSW_OK, csw_parcel_of has its
// number. body has at most 64 KiB. gateway names the kind of gateway that can send it later, such as "nginx". Blocks on nothing.
//
// Errors: CSW_CODE_BODY, CSW_CODE_TOO_LARGE, and as csw_submit_record.
int32_t csw_submit_park(const struct csw_gate *gate,
                        const char *gateway,
                        size_t gateway_length,
                        const char *business,
                        size_t business_length,
                        const char *body,
                        size_t body_length,
                        uint64_t *ticket,
                        struct csw_error *error);

// Whether there is anything for a kind of gateway to take now (due is 1, else 0). One read of mapped memory, as cheap as csw_check.
//
// Errors: CSW_CODE_INVALID, CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
int32_t csw_due(const struct csw_gate *gate,
                const char *gateway,
                size_t gateway_length,
                int32_t *due,
                struct csw_error *error);

// Takes the next message that a kind of gateway parked and that may go out at a moment (Unix ms, 0 for now), or something else for it to send, and
// returns at once with a ticket for csw_poll; once that is CSW_OK, csw_parcel_of has it.
//
// Nothing is handed out twice. Say within a minute what became of it (csw_submit_return): a parked message of which nothing is heard for longer is
// given up, and the customer's others wait for it until then. Blocks on nothing.
//
// Errors: as csw_submit_record.
int32_t csw_submit_take(const struct csw_gate *gate,
                        const char *gateway,
                        size_t gateway_length,
                        int64_t at,
                        uint64_t *ticket,
                        struct csw_error *error);

// What a ticket of csw_submit_park or csw_submit_take that is done is about; its kind is 0 where there is nothing to do. What is to be sent is copied
// to body as csw_instead_of does with text.
//
// Errors: as csw_poll; CSW_CODE_INVALID while the ticket is not done.
int32_t csw_parcel_of(const struct csw_gate *gate,
                      uint64_t ticket,
                      struct csw_parcel *parcel,
                      char *body,
                      size_t capacity,
                      size_t *length,
                      struct csw_error *error);

// Says what became of a parcel that was taken: fate is a csw_fate. Returns at once with a ticket for csw_poll. Blocks on nothing.
//
// Errors: as csw_submit_record.
int32_t csw_submit_return(const struct csw_gate *gate,
                          const struct csw_parcel *parcel,
                          int32_t fate,
                          uint64_t *ticket,
                          struct csw_error *error);

// Keeps the body of a send that the platform accepted until its delivery is heard of, so that the closed branch can be run for it should the platform
// refuse it after all (131047). For decisions whose keep is 1. Returns at once with a ticket for csw_poll. Blocks on nothing.
//
// Errors: as csw_submit_record.
int32_t csw_submit_keep(const struct csw_gate *gate,
                        const char *gateway,
                        size_t gateway_length,
                        const struct csw_decision *decision,
                        int32_t http_status,
                        const char *response,
                        size_t response_length,
                        const char *body,
                        size_t body_length,
                        uint64_t *ticket,
                        struct csw_error *error);

// Chooses one of the two sends of a workflow's request by the customer's window: {"business":, "customer":, "open": {...}, "closed": {...}}, with
// "at" (Unix ms) for a later moment. at is the time to go by (Unix ms, 0 for now). The chosen send is copied to body as csw_instead_of does
// with text; it is still to be decided about.
//
// Errors: CSW_CODE_BODY, naming the key at fault, and CSW_CODE_TOO_LARGE; CSW_CODE_INVALID, CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
int32_t csw_choose(const struct csw_gate *gate,
                   const char *request,
                   size_t request_length,
                   int64_t at,
                   struct csw_choice *choice,
                   char *body,
                   size_t capacity,
                   size_t *length,
                   struct csw_error *error);

// What all processes of the host that share the store have done, in Prometheus's text format, copied to text as csw_instead_of does; 16 KiB are
// enough.
//
// Errors: CSW_CODE_INVALID, CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
int32_t csw_metrics(const struct csw_gate *gate,
                    char *text,
                    size_t capacity,
                    size_t *length,
                    struct csw_error *error);

// Totals of the days on which from and to fall (Unix ms, both included; each number's days are those of its time zone), grouped by a sum of csw_by values.
// Amounts of two currencies are never added up: rows are always grouped by currency.
//
// Writes the rows that fit into capacity (rows may be NULL when it is 0) and the number that there are into count. rows[0].size must be set.
// Reads all totals of the days before it returns: an event loop calls csw_submit_report.
//
// Errors: CSW_CODE_INVALID, CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
int32_t csw_report(const struct csw_gate *gate,
                   int64_t from,
                   int64_t to,
                   int32_t by,
                   struct csw_report_row *rows,
                   size_t capacity,
                   size_t *count,
                   struct csw_error *error);

// As csw_report, but returns at once with a ticket for csw_poll; once that is CSW_OK, csw_report_rows has the rows. Blocks on nothing.
//
// Errors: CSW_CODE_INVALID, CSW_CODE_BUSY (nothing was taken), CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
int32_t csw_submit_report(const struct csw_gate *gate,
                          int64_t from,
                          int64_t to,
                          int32_t by,
                          uint64_t *ticket,
                          struct csw_error *error);

// A page of the rows of a csw_submit_report that is done: those from offset on that fit into capacity, and how many there are in all.
//
// Errors: CSW_CODE_EXPIRED when sixteen newer answers have pushed it out; CSW_CODE_INVALID for other tickets; CSW_CODE_FORKED.
int32_t csw_report_rows(const struct csw_gate *gate,
                        uint64_t ticket,
                        size_t offset,
                        struct csw_report_row *rows,
                        size_t capacity,
                        size_t *count,
                        struct csw_error *error);

// The windows that are open at a moment (Unix ms, 0 for now) and close within so many ms of it, soonest first, at most limit of them: returns
// at once with a ticket for csw_poll; once that is CSW_OK, csw_expiring_rows has them. All contacts are looked at, in a thread of the library.
//
// Errors: CSW_CODE_INVALID, CSW_CODE_BUSY (nothing was taken), CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
int32_t csw_submit_expiring(const struct csw_gate *gate,
                            int64_t at,
                            uint32_t within_ms,
                            size_t limit,
                            uint64_t *ticket,
                            struct csw_error *error);

// A page of the windows of a csw_submit_expiring that is done: those from offset on that fit into capacity, and how many there are in all.
//
// Errors: as csw_report_rows.
int32_t csw_expiring_rows(const struct csw_gate *gate,
                          uint64_t ticket,
                          size_t offset,
                          struct csw_expiring_window *rows,
                          size_t capacity,
                          size_t *count,
                          struct csw_error *error);

// Erases a customer, of one business number, or of all when the business is empty: what is known of them, their names and message ids, and who
// they were in the ledger; totals stay. Waits until it is on disk. recorded may be NULL; its events are the contacts that were erased.
//
// Errors: as csw_record.
int32_t csw_forget(const struct csw_gate *gate,
                   const char *business,
                   size_t business_length,
                   const char *customer,
                   size_t customer_length,
                   struct csw_recorded *recorded,
                   struct csw_error *error);

// As csw_forget, but returns at once with a ticket for csw_poll. Blocks on nothing.
//
// Errors: as csw_submit_record.
int32_t csw_submit_forget(const struct csw_gate *gate,
                          const char *business,
                          size_t business_length,
                          const char *customer,
                          size_t customer_length,
                          uint64_t *ticket,
                          struct csw_error *error);

// The word for a status: a csw_code, CSW_OK ("ok") or CSW_PENDING ("pending"); NULL for other numbers.
const char *csw_code_name(int32_t number);

// The word for a csw_state; NULL for other numbers.
const char *csw_state_name(int32_t number);

// The word for a csw_reason; NULL for other numbers.
const char *csw_reason_name(int32_t number);

// The word for a csw_event_kind; NULL for other numbers.
const char *csw_event_kind_name(int32_t number);

// The word for a csw_class; NULL for other numbers.
const char *csw_class_name(int32_t number);

// The word for a csw_category; NULL for other numbers.
const char *csw_category_name(int32_t number);

// The word for a csw_conversation; NULL for other numbers.
const char *csw_conversation_name(int32_t number);

// The word for a csw_conversation_category; NULL for other numbers.
const char *csw_conversation_category_name(int32_t number);

// The word for a csw_verdict; NULL for other numbers.
const char *csw_verdict_name(int32_t number);

// The word for a csw_charge; NULL for other numbers.
const char *csw_charge_name(int32_t number);

// The word for a csw_charge_reason; NULL for other numbers.
const char *csw_charge_reason_name(int32_t number);

// The word for a csw_mode; NULL for other numbers.
const char *csw_mode_name(int32_t number);

// The word for a csw_fail; NULL for other numbers.
const char *csw_fail_name(int32_t number);

// The word for a csw_no_amount; NULL for other numbers.
const char *csw_no_amount_name(int32_t number);

// The word for a csw_basis; NULL for other numbers.
const char *csw_basis_name(int32_t number);

// The word for a csw_prefer_free; NULL for other numbers.
const char *csw_prefer_free_name(int32_t number);

// The word for a csw_step_kind; NULL for other numbers.
const char *csw_step_kind_name(int32_t number);

// The word for a csw_unfit; NULL for other numbers.
const char *csw_unfit_name(int32_t number);

// The word for a csw_parcel_kind; NULL for other numbers.
const char *csw_parcel_kind_name(int32_t number);

// The word for a csw_fate; NULL for other numbers.
const char *csw_fate_name(int32_t number);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CSW_H */
