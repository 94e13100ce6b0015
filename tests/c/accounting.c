// What a send would cost, what the books say, windows about to close, and erasure.
#include "check.h"

#define CONFIG "store = \"memory:\"\ncurrency = \"EUR\"\nrules = \"meta-2025-07\"\n"
#define TEMPLATE "{\"to\":\"" CUSTOMER "\",\"type\":\"template\",\"template\":{\"name\":\"sale\",\"language\":{\"code\":\"en\"}}}"
#define TEXT "{\"to\":\"" CUSTOMER "\",\"type\":\"text\",\"text\":{\"body\":\"hi\"}}"

static csw_decision decide(const csw_gate *gate, const char *body)
{
    csw_error error = {.size = sizeof error};
    csw_decision decision = {.size = sizeof decision};
    CHECK(csw_decide(gate, STRING(BUSINESS), CSW_ENDPOINT_MESSAGES, STRING(body), MORNING, &decision, &error) == CSW_OK);
    return decision;
}

static void a_billable_send_without_a_rate_says_why_it_has_no_amount(void)
{
    csw_gate *gate = opened(CONFIG);
    csw_decision decision = decide(gate, TEMPLATE);
    CHECK(decision.charge == CSW_CHARGE_BILLABLE && decision.amount[0] == 0);
    CHECK(decision.no_amount == CSW_NO_AMOUNT_NO_RATE_CARD);
    CHECK(strcmp(csw_no_amount_name(decision.no_amount), "no_rate_card") == 0 && csw_no_amount_name(0) == NULL);
    CHECK(strcmp(decision.currency, "EUR") == 0 && strcmp(decision.market, "north_america") == 0);
    csw_close(gate);

    gate = opened("store = \"memory:\"");
    CHECK(decide(gate, TEMPLATE).no_amount == CSW_NO_AMOUNT_NO_CURRENCY);
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, MORNING));
    csw_decision free_form = decide(gate, TEXT);
    CHECK(free_form.no_amount == 0 && strcmp(free_form.amount, "0") == 0 && strcmp(free_form.highest, "0") == 0);
    csw_close(gate);
}

static csw_report_row row_of(const csw_gate *gate, uint64_t ticket)
{
    csw_error error = {.size = sizeof error};
    csw_report_row row = {.size = sizeof row};
    size_t count = 0;
    CHECK(csw_wait(gate, ticket, LONG_ENOUGH, NULL, &error) == CSW_OK);
    CHECK(csw_report_rows(gate, ticket, 0, &row, 1, &count, &error) == CSW_OK && count == 1);
    return row;
}

static void the_books_count_what_was_stopped_sent_and_charged(void)
{
    csw_error error = {.size = sizeof error};
    csw_gate *gate = opened(CONFIG);
    csw_decision denied = decide(gate, TEXT);
    CHECK(denied.verdict == CSW_VERDICT_DENY);
    CHECK(csw_settle(gate, &denied, 400, NULL, 0, MORNING, NULL, &error) == CSW_OK);

    csw_event sent = event_of(CSW_EVENT_KIND_BUSINESS_MESSAGE, CUSTOMER, "wamid.sale", MORNING);
    sent.template_name = "sale";
    sent.template_name_length = 4;
    sent.category = CSW_CATEGORY_MARKETING;
    record(gate, sent);
    record(gate, event_of(CSW_EVENT_KIND_DELIVERED, CUSTOMER, "wamid.sale", MORNING + HOUR));

    uint64_t ticket = 0;
    CHECK(csw_submit_report(gate, MORNING, MORNING, 0, &ticket, &error) == CSW_OK);
    csw_report_row row = row_of(gate, ticket);
    CHECK(row.stopped == 1 && row.messages == 1 && row.billable == 1 && row.unpriced == 1 && row.reported == 0);
    CHECK(row.amount_micros == 0 && strcmp(row.amount, "0") == 0 && strcmp(row.currency, "EUR") == 0);

    const int32_t by = CSW_BY_CHARGE | CSW_BY_MARKET | CSW_BY_BASIS;
    csw_report_row rows[4];
    size_t count = 0;
    rows[0].size = sizeof *rows;
    CHECK(csw_report(gate, MORNING, MORNING, by, rows, 4, &count, &error) == CSW_OK && count == 2);
    CHECK(rows[0].charge == 0 && rows[0].messages == 1 && rows[0].stopped == 1);
    CHECK(rows[1].charge == CSW_CHARGE_BILLABLE && strcmp(csw_basis_name(rows[1].basis), "estimated") == 0);
    CHECK(strcmp(rows[1].market, "north_america") == 0);
    csw_close(gate);
}

static void answers_are_read_in_pages_and_forgotten_after_sixteen_newer_ones(void)
{
    csw_error error = {.size = sizeof error};
    csw_gate *gate = opened(CONFIG);
    char customers[3][16];
    for (int i = 0; i < 3; i++) {
        snprintf(customers[i], sizeof customers[i], "1650555020%d", i);
        record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, customers[i], NULL, MORNING + i * HOUR));
    }

    uint64_t ticket = 0, none = 0;
    const int64_t evening = MORNING + 23 * HOUR;
    CHECK(csw_submit_expiring(gate, evening, (uint32_t)(2 * HOUR), 10, &ticket, &error) == CSW_OK);
    CHECK(csw_wait(gate, ticket, LONG_ENOUGH, NULL, &error) == CSW_OK);
    for (size_t offset = 0; offset < 3; offset++) {
        csw_expiring_window row = {.size = sizeof row};
        size_t count = 0;
        CHECK(csw_expiring_rows(gate, ticket, offset, &row, 1, &count, &error) == CSW_OK && count == 2);
        if (offset < 2)
            CHECK(strcmp(row.customer, customers[offset]) == 0 && row.expires_at == MORNING + (24 + (int64_t)offset) * HOUR);
        else
            CHECK(row.customer[0] == 0);
    }
    size_t count = 0;
    CHECK(csw_report_rows(gate, ticket, 0, NULL, 0, &count, &error) == CSW_CODE_INVALID);
    CHECK(csw_expiring_rows(gate, ticket + 1000, 0, NULL, 0, &count, &error) == CSW_CODE_INVALID);

    for (int i = 0; i < 16; i++) {
        CHECK(csw_submit_report(gate, MORNING, MORNING, 0, &none, &error) == CSW_OK);
        CHECK(csw_wait(gate, none, LONG_ENOUGH, NULL, &error) == CSW_OK);
    }
    CHECK(csw_expiring_rows(gate, ticket, 0, NULL, 0, &count, &error) == CSW_CODE_EXPIRED);
    csw_close(gate);
}

static void an_erased_customer_is_unknown_and_the_totals_stay(void)
{
    csw_error error = {.size = sizeof error};
    csw_gate *gate = opened(CONFIG);
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, "wamid.in", MORNING));
    record(gate, event_of(CSW_EVENT_KIND_BUSINESS_MESSAGE, CUSTOMER, "wamid.out", MORNING));
    CHECK(window_at(gate, CUSTOMER, MORNING).state == CSW_STATE_OPEN);

    csw_recorded recorded = {.size = sizeof recorded};
    CHECK(csw_forget(gate, STRING(BUSINESS), STRING("+" CUSTOMER), &recorded, &error) == CSW_OK && recorded.events == 1);
    CHECK(window_at(gate, CUSTOMER, MORNING).state == CSW_STATE_UNKNOWN);

    uint64_t ticket = 0;
    CHECK(csw_submit_forget(gate, NULL, 0, STRING(CUSTOMER), &ticket, &error) == CSW_OK);
    CHECK(csw_wait(gate, ticket, LONG_ENOUGH, &recorded, &error) == CSW_OK && recorded.events == 0);
    CHECK(csw_submit_forget(gate, NULL, 0, STRING("nobody"), &ticket, &error) == CSW_CODE_INVALID);

    csw_report_row row = {.size = sizeof row};
    size_t count = 0;
    CHECK(csw_report(gate, MORNING, MORNING, 0, &row, 1, &count, &error) == CSW_OK && count == 1 && row.messages == 1);
    csw_close(gate);
}

int main(void)
{
    a_billable_send_without_a_rate_says_why_it_has_no_amount();
    the_books_count_what_was_stopped_sent_and_charged();
    answers_are_read_in_pages_and_forgotten_after_sixteen_newer_ones();
    an_erased_customer_is_unknown_and_the_totals_stay();
    return 0;
}
