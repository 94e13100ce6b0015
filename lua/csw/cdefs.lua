-- Made from include/csw.h by `make header`; do not edit.
local ffi = require("ffi")


-- A second copy of this module (a reload, another loader) must not declare the same types again.
if not pcall(ffi.typeof, "csw_gate") then
  ffi.cdef([[
enum csw_conversation {
  CSW_CONVERSATION_OPENS = 1,
  CSW_CONVERSATION_JOINS = 2,
  CSW_CONVERSATION_NONE = 3,
};
enum csw_no_amount {
  CSW_NO_AMOUNT_NO_CURRENCY = 1,
  CSW_NO_AMOUNT_NO_RATE_CARD = 2,
  CSW_NO_AMOUNT_NO_MARKET = 3,
  CSW_NO_AMOUNT_NO_RATE = 4,
};
enum csw_code {
  CSW_CODE_INVALID = -1,
  CSW_CODE_CONFIG = -2,
  CSW_CODE_BODY = -3,
  CSW_CODE_NOT_JSON = -4,
  CSW_CODE_SIGNATURE = -5,
  CSW_CODE_TOO_LARGE = -6,
  CSW_CODE_BUSY = -7,
  CSW_CODE_TIMEOUT = -8,
  CSW_CODE_EXPIRED = -9,
  CSW_CODE_FORKED = -10,
  CSW_CODE_STORE = -11,
  CSW_CODE_FORMAT = -12,
  CSW_CODE_INTERNAL = -13,
};
enum csw_state {
  CSW_STATE_OPEN = 1,
  CSW_STATE_CLOSED = 2,
  CSW_STATE_UNKNOWN = 3,
};
enum csw_reason {
  CSW_REASON_WINDOW_OPEN = 1,
  CSW_REASON_FREE_ENTRY_POINT = 2,
  CSW_REASON_TEMPLATE = 3,
  CSW_REASON_RECEIPT = 4,
  CSW_REASON_WINDOW_CLOSED = 20,
  CSW_REASON_NEVER_SEEN = 21,
  CSW_REASON_REFUSED_BY_PLATFORM = 22,
  CSW_REASON_TEMPLATE_NOT_APPROVED = 23,
  CSW_REASON_TEMPLATE_UNKNOWN = 24,
  CSW_REASON_NUMBER_NOT_ENABLED = 25,
  CSW_REASON_USER_ID_IN_TO = 26,
  CSW_REASON_OVER_COST = 27,
  CSW_REASON_FAULT_OPEN = 40,
  CSW_REASON_FAULT_CLOSED = 41,
};
enum csw_event_kind {
  CSW_EVENT_KIND_CUSTOMER_MESSAGE = 1,
  CSW_EVENT_KIND_CUSTOMER_CALL = 2,
  CSW_EVENT_KIND_CALL_ACCEPTED = 3,
  CSW_EVENT_KIND_BUSINESS_MESSAGE = 4,
  CSW_EVENT_KIND_SENT = 5,
  CSW_EVENT_KIND_DELIVERED = 6,
  CSW_EVENT_KIND_READ = 7,
  CSW_EVENT_KIND_FAILED = 8,
  CSW_EVENT_KIND_TEMPLATE_STATUS = 9,
  CSW_EVENT_KIND_TEMPLATE_CATEGORY = 10,
  CSW_EVENT_KIND_IDENTITY = 11,
};
enum csw_class {
  CSW_CLASS_FREE_FORM = 1,
  CSW_CLASS_TEMPLATE = 2,
  CSW_CLASS_REACTION = 3,
  CSW_CLASS_RECEIPT = 4,
  CSW_CLASS_UNKNOWN = 5,
};
enum csw_category {
  CSW_CATEGORY_MARKETING = 1,
  CSW_CATEGORY_UTILITY = 2,
  CSW_CATEGORY_AUTHENTICATION = 3,
  CSW_CATEGORY_AUTHENTICATION_INTERNATIONAL = 4,
  CSW_CATEGORY_SERVICE = 5,
  CSW_CATEGORY_UNKNOWN = 6,
};
enum csw_conversation_category {
  CSW_CONVERSATION_CATEGORY_MARKETING = 1,
  CSW_CONVERSATION_CATEGORY_UTILITY = 2,
  CSW_CONVERSATION_CATEGORY_AUTHENTICATION = 3,
  CSW_CONVERSATION_CATEGORY_SERVICE = 4,
  CSW_CONVERSATION_CATEGORY_FREE_ENTRY_POINT = 5,
};
enum csw_verdict {
  CSW_VERDICT_ALLOW = 1,
  CSW_VERDICT_DENY = 2,
};
enum csw_charge {
  CSW_CHARGE_FREE = 1,
  CSW_CHARGE_BILLABLE = 2,
  CSW_CHARGE_UNKNOWN = 3,
};
enum csw_charge_reason {
  CSW_CHARGE_REASON_SERVICE_FREE = 1,
  CSW_CHARGE_REASON_FREE_TIER = 2,
  CSW_CHARGE_REASON_IN_WINDOW = 3,
  CSW_CHARGE_REASON_FREE_ENTRY_POINT = 4,
  CSW_CHARGE_REASON_JOINS_CONVERSATION = 5,
  CSW_CHARGE_REASON_OPENS_CONVERSATION = 6,
  CSW_CHARGE_REASON_PER_MESSAGE = 7,
  CSW_CHARGE_REASON_REACTION = 8,
  CSW_CHARGE_REASON_NO_RATE = 9,
};
enum csw_basis {
  CSW_BASIS_ESTIMATED = 1,
  CSW_BASIS_REPORTED = 2,
};
enum csw_mode {
  CSW_MODE_ENFORCE = 1,
  CSW_MODE_MONITOR = 2,
  CSW_MODE_OFF = 3,
};
enum csw_fail {
  CSW_FAIL_OPEN = 1,
  CSW_FAIL_CLOSED = 2,
};
enum csw_by {
  CSW_BY_DAY = 1,
  CSW_BY_BUSINESS = 2,
  CSW_BY_CLASS = 4,
  CSW_BY_CATEGORY = 8,
  CSW_BY_CONVERSATION_CATEGORY = 16,
  CSW_BY_CHARGE_REASON = 32,
  CSW_BY_CHARGE = 64,
  CSW_BY_MARKET = 128,
  CSW_BY_CURRENCY = 256,
  CSW_BY_BASIS = 512,
};
enum csw_prefer_free {
  CSW_PREFER_FREE_OFF = 1,
  CSW_PREFER_FREE_NOTE = 2,
  CSW_PREFER_FREE_REFUSE = 3,
};
enum csw_step_kind {
  CSW_STEP_KIND_BLOCK = 1,
  CSW_STEP_KIND_TEMPLATE = 2,
  CSW_STEP_KIND_CHANNEL = 3,
  CSW_STEP_KIND_PARK = 4,
};
enum csw_unfit {
  CSW_UNFIT_NOT_TEXT = 1,
  CSW_UNFIT_TOO_LONG = 2,
  CSW_UNFIT_TEMPLATE_UNKNOWN = 3,
  CSW_UNFIT_TEMPLATE_NOT_APPROVED = 4,
  CSW_UNFIT_CATEGORY_NOT_ALLOWED = 5,
  CSW_UNFIT_OVER_COST = 6,
  CSW_UNFIT_NO_PHONE_NUMBER = 7,
  CSW_UNFIT_TOO_LARGE = 8,
  CSW_UNFIT_DENIED = 9,
  CSW_UNFIT_ACCOUNT_UNKNOWN = 10,
};
enum csw_parcel_kind {
  CSW_PARCEL_KIND_PARKED = 1,
  CSW_PARCEL_KIND_NUDGE = 2,
  CSW_PARCEL_KIND_REFUSED = 3,
};
enum csw_fate {
  CSW_FATE_SENT = 1,
  CSW_FATE_CLOSED = 2,
  CSW_FATE_LATER = 3,
  CSW_FATE_REFUSED = 4,
  CSW_FATE_LOST = 5,
};
typedef struct csw_gate csw_gate;
typedef struct csw_error {
  uint32_t size;
  int32_t code;
  char message[512];
} csw_error;
typedef struct csw_window {
  uint32_t size;
  int32_t state;
  int32_t branch;
  int32_t reason;
  int64_t expires_at;
  int64_t last_act;
  int64_t free_entry_expires_at;
  int64_t remaining_ms;
} csw_window;
typedef struct csw_decision {
  uint32_t size;
  int32_t verdict;
  int32_t would_deny;
  int32_t reason;
  int32_t message_class;
  int32_t category;
  int32_t estimated;
  int32_t conversation;
  int32_t conversation_category;
  int32_t charge;
  int32_t charge_reason;
  int32_t no_amount;
  int32_t prefer_free;
  int32_t keep;
  int32_t reserved;
  uint32_t token_length;
  int64_t at;
  uint64_t business;
  struct csw_window window;
  char amount[40];
  char lowest[40];
  char highest[40];
  char currency[4];
  char market[44];
  char customer[40];
  uint8_t token[768];
} csw_decision;
typedef struct csw_event {
  uint32_t size;
  int32_t kind;
  const char *business;
  size_t business_length;
  const char *customer;
  size_t customer_length;
  const char *id;
  size_t id_length;
  int64_t at;
  int32_t message_class;
  int32_t category;
  int32_t entry_point;
  int32_t reserved;
  int64_t code;
  const char *template_name;
  size_t template_name_length;
  const char *template_language;
  size_t template_language_length;
} csw_event;
typedef struct csw_recorded {
  uint32_t size;
  uint32_t events;
  uint32_t repeated;
  uint32_t ignored;
  uint32_t unreadable;
  int32_t conversation;
  int32_t conversation_category;
  int32_t category;
  char unreadable_text[1024];
} csw_recorded;
typedef struct csw_settings {
  uint32_t size;
  int32_t fail;
  int32_t mode;
  int32_t test_clock;
  int32_t prefer_free;
  int32_t reserved;
  char token_file[1008];
} csw_settings;
typedef struct csw_instead {
  uint32_t size;
  int32_t kind;
  int32_t unfit;
  int32_t reserved;
  char step[80];
  char location[256];
  char to[592];
  char id[40];
  struct csw_decision decision;
} csw_instead;
typedef struct csw_parcel {
  uint32_t size;
  int32_t kind;
  uint32_t waiting;
  uint32_t dropped;
  uint64_t id;
  uint64_t business;
  int64_t in_hand_until;
  char gateway[40];
  char customer[144];
} csw_parcel;
typedef struct csw_choice {
  uint32_t size;
  int32_t branch;
  int32_t forecast;
  int32_t reserved;
  uint64_t business;
} csw_choice;
typedef struct csw_report_row {
  uint32_t size;
  int32_t message_class;
  int32_t category;
  int32_t conversation_category;
  int32_t charge_reason;
  int32_t charge;
  int32_t basis;
  int32_t reserved;
  uint64_t business;
  int64_t messages;
  int64_t conversations;
  int64_t free;
  int64_t billable;
  int64_t reported;
  int64_t unpriced;
  int64_t stopped;
  int64_t refused;
  int64_t dropped;
  int64_t amount_micros;
  char day[16];
  char currency[4];
  char amount[44];
  char market[48];
} csw_report_row;
typedef struct csw_expiring_window {
  uint32_t size;
  int32_t reserved;
  uint64_t business;
  int64_t expires_at;
  char customer[144];
} csw_expiring_window;
int32_t csw_open(const char *path,
                 size_t path_length,
                 struct csw_gate **gate,
                 struct csw_error *error);
int32_t csw_open_text(const char *text, size_t text_length, struct csw_gate **gate, struct csw_error *error);
void csw_close(struct csw_gate *gate);
int32_t csw_check(const struct csw_gate *gate,
                  const char *business,
                  size_t business_length,
                  const char *customer,
                  size_t customer_length,
                  int64_t at,
                  struct csw_window *window,
                  struct csw_error *error);
int32_t csw_decide(const struct csw_gate *gate,
                   const char *business,
                   size_t business_length,
                   int32_t endpoint,
                   const char *body,
                   size_t body_length,
                   int64_t at,
                   struct csw_decision *decision,
                   struct csw_error *error);
int32_t csw_record(const struct csw_gate *gate,
                   const struct csw_event *event,
                   struct csw_recorded *recorded,
                   struct csw_error *error);
int32_t csw_ingest(const struct csw_gate *gate,
                   const char *bytes,
                   size_t bytes_length,
                   const char *signature,
                   size_t signature_length,
                   int64_t at,
                   struct csw_recorded *recorded,
                   struct csw_error *error);
int32_t csw_settle(const struct csw_gate *gate,
                   const struct csw_decision *decision,
                   int32_t http_status,
                   const char *response,
                   size_t response_length,
                   int64_t at,
                   struct csw_recorded *recorded,
                   struct csw_error *error);
int32_t csw_submit_record(const struct csw_gate *gate,
                          const struct csw_event *event,
                          uint64_t *ticket,
                          struct csw_error *error);
int32_t csw_submit_ingest(const struct csw_gate *gate,
                          const char *bytes,
                          size_t bytes_length,
                          const char *signature,
                          size_t signature_length,
                          int64_t at,
                          uint64_t *ticket,
                          struct csw_error *error);
int32_t csw_submit_settle(const struct csw_gate *gate,
                          const struct csw_decision *decision,
                          int32_t http_status,
                          const char *response,
                          size_t response_length,
                          int64_t at,
                          uint64_t *ticket,
                          struct csw_error *error);
int32_t csw_poll(const struct csw_gate *gate,
                 uint64_t ticket,
                 struct csw_recorded *recorded,
                 struct csw_error *error);
int32_t csw_wait(const struct csw_gate *gate,
                 uint64_t ticket,
                 uint32_t timeout_ms,
                 struct csw_recorded *recorded,
                 struct csw_error *error);
int32_t csw_flush(const struct csw_gate *gate, uint32_t timeout_ms, struct csw_error *error);
int32_t csw_event_fd(const struct csw_gate *gate,
                     int32_t *fd,
                     struct csw_error *error);
int32_t csw_handshake(const struct csw_gate *gate, const char *token, size_t token_length, struct csw_error *error);
int32_t csw_settings_of(const struct csw_gate *gate,
                        const char *business,
                        size_t business_length,
                        struct csw_settings *settings,
                        struct csw_error *error);
const char *csw_version(void);
uint32_t csw_abi_version(void);
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
int32_t csw_submit_park(const struct csw_gate *gate,
                        const char *gateway,
                        size_t gateway_length,
                        const char *business,
                        size_t business_length,
                        const char *body,
                        size_t body_length,
                        uint64_t *ticket,
                        struct csw_error *error);
int32_t csw_due(const struct csw_gate *gate,
                const char *gateway,
                size_t gateway_length,
                int32_t *due,
                struct csw_error *error);
int32_t csw_submit_take(const struct csw_gate *gate,
                        const char *gateway,
                        size_t gateway_length,
                        int64_t at,
                        uint64_t *ticket,
                        struct csw_error *error);
int32_t csw_parcel_of(const struct csw_gate *gate,
                      uint64_t ticket,
                      struct csw_parcel *parcel,
                      char *body,
                      size_t capacity,
                      size_t *length,
                      struct csw_error *error);
int32_t csw_submit_return(const struct csw_gate *gate,
                          const struct csw_parcel *parcel,
                          int32_t fate,
                          uint64_t *ticket,
                          struct csw_error *error);
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
int32_t csw_choose(const struct csw_gate *gate,
                   const char *request,
                   size_t request_length,
                   int64_t at,
                   struct csw_choice *choice,
                   char *body,
                   size_t capacity,
                   size_t *length,
                   struct csw_error *error);
int32_t csw_metrics(const struct csw_gate *gate,
                    char *text,
                    size_t capacity,
                    size_t *length,
                    struct csw_error *error);
int32_t csw_report(const struct csw_gate *gate,
                   int64_t from,
                   int64_t to,
                   int32_t by,
                   struct csw_report_row *rows,
                   size_t capacity,
                   size_t *count,
                   struct csw_error *error);
int32_t csw_submit_report(const struct csw_gate *gate,
                          int64_t from,
                          int64_t to,
                          int32_t by,
                          uint64_t *ticket,
                          struct csw_error *error);
int32_t csw_report_rows(const struct csw_gate *gate,
                        uint64_t ticket,
                        size_t offset,
                        struct csw_report_row *rows,
                        size_t capacity,
                        size_t *count,
                        struct csw_error *error);
int32_t csw_submit_expiring(const struct csw_gate *gate,
                            int64_t at,
                            uint32_t within_ms,
                            size_t limit,
                            uint64_t *ticket,
                            struct csw_error *error);
int32_t csw_expiring_rows(const struct csw_gate *gate,
                          uint64_t ticket,
                          size_t offset,
                          struct csw_expiring_window *rows,
                          size_t capacity,
                          size_t *count,
                          struct csw_error *error);
int32_t csw_forget(const struct csw_gate *gate,
                   const char *business,
                   size_t business_length,
                   const char *customer,
                   size_t customer_length,
                   struct csw_recorded *recorded,
                   struct csw_error *error);
int32_t csw_submit_forget(const struct csw_gate *gate,
                          const char *business,
                          size_t business_length,
                          const char *customer,
                          size_t customer_length,
                          uint64_t *ticket,
                          struct csw_error *error);
const char *csw_code_name(int32_t number);
const char *csw_state_name(int32_t number);
const char *csw_reason_name(int32_t number);
const char *csw_event_kind_name(int32_t number);
const char *csw_class_name(int32_t number);
const char *csw_category_name(int32_t number);
const char *csw_conversation_name(int32_t number);
const char *csw_conversation_category_name(int32_t number);
const char *csw_verdict_name(int32_t number);
const char *csw_charge_name(int32_t number);
const char *csw_charge_reason_name(int32_t number);
const char *csw_mode_name(int32_t number);
const char *csw_fail_name(int32_t number);
const char *csw_no_amount_name(int32_t number);
const char *csw_basis_name(int32_t number);
const char *csw_prefer_free_name(int32_t number);
const char *csw_step_kind_name(int32_t number);
const char *csw_unfit_name(int32_t number);
const char *csw_parcel_kind_name(int32_t number);
const char *csw_fate_name(int32_t number);
  ]])
end


return {
  VERSION = "0.1.0",
  OK = 0,
  PENDING = 1,
  ABI_VERSION = 1,
  ENDPOINT_MESSAGES = 0,
  ENDPOINT_MARKETING_MESSAGES = 1,
}
