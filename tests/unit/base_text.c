/*
 * base: errors, spans, buffers, numbers and base64.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/span.h"

/* ---- error ---- */

static void error_first_failure_wins(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;

    (void)state;
    assert_false(mir_fail(&err, MIR_E_FORMAT, "first %d", 1));
    assert_false(mir_fail(&err, MIR_E_IO, "second"));
    errno = ENOENT;
    assert_false(mir_fail_errno(&err, "third"));
    assert_int_equal(err.code, MIR_E_FORMAT);
    assert_string_equal(err.text, "first 1");
}

static void error_context_goes_in_front(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;

    (void)state;
    (void)mir_fail(&err, MIR_E_DIGEST, "cause");
    assert_false(mir_context(&err, "inner"));
    assert_false(mir_context(&err, "outer %s", "thing"));
    assert_string_equal(err.text, "outer thing: inner: cause");
}

static void error_context_keeps_the_cause_of_a_long_chain(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    char longest[2000];

    (void)state;
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    (void)mir_fail(&err, MIR_E_DIGEST, "the cause");
    (void)mir_context(&err, "%s", longest);
    assert_non_null(strstr(err.text, ": the cause"));
}

static void error_cuts_long_texts_between_characters(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    char longest[3001];
    size_t len;

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(longest); i += 2)
        memcpy(longest + i, "\xc3\xa4", 2);
    longest[sizeof(longest) - 1] = '\0';
    (void)mir_fail(&err, MIR_E_FORMAT, "%s", longest);
    len = strlen(err.text);
    assert_true(len > 900);
    assert_int_equal(len % 2, 0);
}

static void error_shows_no_control_characters(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;

    (void)state;
    (void)mir_fail(&err, MIR_E_FORMAT, "a\033[31mb\nc\x7f");
    assert_string_equal(err.text, "a?[31mb?c?");
}

static void error_of_errno_has_kind_and_words(void **state)
{
    static const struct {
        const char *label;
        int number;
        enum mir_code code;
    } rows[] = {
        {"missing", ENOENT, MIR_E_NOT_FOUND}, {"full", ENOSPC, MIR_E_SPACE},
        {"quota", EDQUOT, MIR_E_SPACE},       {"too large for the file system", EFBIG, MIR_E_SPACE},
        {"permission", EACCES, MIR_E_IO},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;

        errno = rows[i].number;
        (void)mir_fail_errno(&err, "open %s", "file");
        if (err.code != rows[i].code || err.sys != rows[i].number ||
            strncmp(err.text, "open file: ", 11) != 0)
            fail_msg("%s: code %d, text %s", rows[i].label, err.code, err.text);
    }
}

static void error_code_decides_exit_status_and_retry(void **state)
{
    static const struct {
        enum mir_code code;
        int status;
        bool retry;
    } rows[] = {
        {MIR_OK, 0, false},         {MIR_E_USAGE, 2, false},  {MIR_E_PARTIAL, 3, false},
        {MIR_E_DIGEST, 1, false},   {MIR_E_NETWORK, 1, true}, {MIR_E_SERVER, 1, true},
        {MIR_E_BUSY, 1, true},      {MIR_E_AUTH, 1, false},   {MIR_E_CANCELLED, 1, false},
        {MIR_E_PROTOCOL, 1, false}, {MIR_E_SPACE, 1, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = {.code = rows[i].code};

        assert_int_equal(mir_exit_status(&err), rows[i].status);
        assert_int_equal(mir_may_retry(&err), rows[i].retry);
    }
}

/* ---- span ---- */

static void span_compares_bytes_unsigned_and_shorter_first(void **state)
{
    (void)state;
    assert_true(mir_span_compare(mir_span_of("a"), mir_span_of("b")) < 0);
    assert_true(mir_span_compare(mir_span_of("a"), mir_span_of("ab")) < 0);
    assert_true(mir_span_compare(mir_span_of("\xc3"), mir_span_of("z")) > 0);
    assert_int_equal(mir_span_compare(mir_span_of("same"), mir_span_of("same")), 0);
    assert_int_equal(mir_span_compare(mir_span_of(NULL), mir_span_of("")), 0);
}

static void span_next_gives_every_piece(void **state)
{
    static const char *const expected[] = {"a", "", "bc"};
    struct mir_span rest = mir_span_of("a,,bc,"), piece;
    size_t count = 0;

    (void)state;
    while (mir_span_next(&rest, ',', &piece)) {
        assert_true(count < 3);
        assert_true(mir_span_is(piece, expected[count]));
        count++;
    }
    assert_int_equal(count, 3);
}

static void span_trim_takes_blanks_off_both_ends(void **state)
{
    (void)state;
    assert_true(mir_span_is(mir_span_trim(mir_span_of(" \t a b\r\n")), "a b"));
    assert_int_equal(mir_span_trim(mir_span_of(" \n ")).len, 0);
}

/* ---- buf ---- */

static void buf_remembers_what_did_not_fit(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_buf buf;

    (void)state;
    mir_buf_init(&buf, 5);
    mir_buf_text(&buf, "abc");
    mir_buf_text(&buf, "def");
    mir_buf_text(&buf, "g");
    assert_string_equal(buf.ptr, "abc");
    assert_false(mir_buf_check(&buf, "word", &err));
    assert_int_equal(err.code, MIR_E_LIMIT);
    mir_buf_clear(&buf);
    mir_buf_printf(&buf, "%d-%d", 12, 34);
    mir_error_clear(&err);
    assert_true(mir_buf_check(&buf, "word", &err));
    assert_string_equal(buf.ptr, "12-34");
}

static void buf_grows_and_stays_terminated(void **state)
{
    auto_buf buf;

    (void)state;
    mir_buf_init(&buf, 100000);
    for (int i = 0; i < 10000; i++) {
        mir_buf_char(&buf, 'x');
        assert_int_equal(buf.ptr[buf.len], '\0');
    }
    assert_int_equal(buf.len, 10000);
}

/* ---- num ---- */

static void parse_u64_takes_plain_decimals_only(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } rows[] = {
        {"0", true, 0},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999999", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"0x10", false, 0},
        {"007", true, 7},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t value = 0;
        bool ok = mir_parse_u64(mir_span_of(rows[i].text), UINT64_MAX, &value);

        if (ok != rows[i].ok || (ok && value != rows[i].value))
            fail_msg("\"%s\": %d %llu", rows[i].text, ok, (unsigned long long)value);
    }
}

static void bytes_text_is_short_and_right(void **state)
{
    char text[MIR_BYTES_TEXT_MAX];

    (void)state;
    assert_string_equal(mir_bytes_text(0, text), "0 B");
    assert_string_equal(mir_bytes_text(1023, text), "1023 B");
    assert_string_equal(mir_bytes_text(1024, text), "1.0 KiB");
    assert_string_equal(mir_bytes_text(1536u << 20, text), "1.5 GiB");
    assert_string_equal(mir_bytes_text((1u << 20) - 1, text), "1.0 MiB");
    assert_string_equal(mir_bytes_text(UINT64_MAX, text), "16.0 EiB");
}

/* ---- base64 ---- */

static void base64_decodes_exactly_the_padded_standard_form(void **state)
{
    static const struct {
        const char *text, *bytes; /* bytes NULL: refused */
    } rows[] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9v\r\nYg==\n", "foob"},
        {"abcd", "\x69\xb7\x1d"},
        {"Zg", NULL},
        {"Zg=", NULL},
        {"Zg===", NULL},
        {"=", NULL},
        {"====", NULL},
        {"Z===", NULL},
        {"Zh==", NULL},
        {"Zm9=", NULL},
        {"Zg==Zg==", NULL},
        {"Zm9v YmFy", NULL},
        {"Zm-_", NULL},
        {"Zg==x", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_free char *out = NULL;
        size_t len = 0;
        bool ok = mir_base64_decode(mir_span_of(rows[i].text), &out, &len);

        if (ok != (rows[i].bytes != NULL))
            fail_msg("\"%s\": %s", rows[i].text, ok ? "accepted" : "refused");
        if (ok && (len != strlen(rows[i].bytes) || strcmp(out, rows[i].bytes) != 0))
            fail_msg("\"%s\": wrong bytes", rows[i].text);
    }
}

static void base64_round_trips(void **state)
{
    unsigned char bytes[256];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(255 - i);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        auto_free char *text = mir_base64_encode(mir_span(bytes, len));
        auto_free char *back = NULL;
        size_t back_len = 0;

        assert_true(mir_base64_decode(mir_span_of(text), &back, &back_len));
        assert_int_equal(back_len, len);
        assert_memory_equal(back, bytes, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_first_failure_wins),
        cmocka_unit_test(error_context_goes_in_front),
        cmocka_unit_test(error_context_keeps_the_cause_of_a_long_chain),
        cmocka_unit_test(error_cuts_long_texts_between_characters),
        cmocka_unit_test(error_shows_no_control_characters),
        cmocka_unit_test(error_of_errno_has_kind_and_words),
        cmocka_unit_test(error_code_decides_exit_status_and_retry),
        cmocka_unit_test(span_compares_bytes_unsigned_and_shorter_first),
        cmocka_unit_test(span_next_gives_every_piece),
        cmocka_unit_test(span_trim_takes_blanks_off_both_ends),
        cmocka_unit_test(buf_remembers_what_did_not_fit),
        cmocka_unit_test(buf_grows_and_stays_terminated),
        cmocka_unit_test(parse_u64_takes_plain_decimals_only),
        cmocka_unit_test(bytes_text_is_short_and_right),
        cmocka_unit_test(base64_decodes_exactly_the_padded_standard_form),
        cmocka_unit_test(base64_round_trips),
    };

    return cmocka_run_group_tests_name("base/text", tests, NULL, NULL);
}
