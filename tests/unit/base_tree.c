/*
 * Trees: YAML and JSON in, YAML out. What is promised: the values Kubernetes' reader sees, limits
 * that hold for aliases too, errors with line and column, and a writer whose text reads back.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/tree.h"

/* The documents as compact JSON, or NULL with the error. */
static char *parse_to_json(const char *yaml, struct mir_error *err)
{
    auto_json *documents = NULL;

    mir_error_clear(err);
    if (!mir_yaml_parse(mir_span_of(yaml), "t", &documents, err))
        return NULL;
    return json_dumps(documents, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
}

struct value_row {
    const char *label;
    const char *yaml;
    const char *json;
};

static void check_rows(const struct value_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_free char *json = parse_to_json(rows[i].yaml, &err);

        if (!json)
            fail_msg("%s: %s", rows[i].label, err.text);
        else if (strcmp(json, rows[i].json) != 0)
            fail_msg("%s: got %s", rows[i].label, json);
    }
}
#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void tree_yaml_resolves_scalars_as_kubernetes_does(void **state)
{
    static const struct value_row rows[] = {
        {"words of null", "[~, null, Null, NULL, ]", "[[null,null,null,null]]"},
        {"true", "[true, True, TRUE, yes, Yes, y, on, ON]",
         "[[true,true,true,true,true,true,true,true]]"},
        {"false", "[false, No, n, N, off]", "[[false,false,false,false,false]]"},
        {"words that are no words", "[tRUE, yEs, nULL, oN]",
         "[[\"tRUE\",\"yEs\",\"nULL\",\"oN\"]]"},
        {"quotes make strings", "['true', \"5\", '', '~']", "[[\"true\",\"5\",\"\",\"~\"]]"},
        {"integers", "[0, 5, -7, +3, 1_000, 0x1f, 017, 0o17, 0b101, -0x10]",
         "[[0,5,-7,3,1000,31,15,15,5,-16]]"},
        {"08 is decimal, being no octal", "[08, 09.5]", "[[8.0,9.5]]"},
        {"floats", "[1.5, 1., .5, 1e3, -1.5e-3]", "[[1.5,1.0,0.5,1000.0,-0.0015]]"},
        {"biggest integer", "[9223372036854775807, -9223372036854775808]",
         "[[9223372036854775807,-9223372036854775808]]"},
        {"an integer over 64 bits is a float", "[99999999999999999999]", "[[1e20]]"},
        {"dates stay strings", "[2019-05-17, 2019-05-17T13:44:26Z]",
         "[[\"2019-05-17\",\"2019-05-17T13:44:26Z\"]]"},
        {"base 60 is a string", "[12:30, 1:2:3]", "[[\"12:30\",\"1:2:3\"]]"},
        {"hosts and ports", "[10.2.3.4, host:5000, 10.2.3.4:5000]",
         "[[\"10.2.3.4\",\"host:5000\",\"10.2.3.4:5000\"]]"},
        {"not numbers", "[1.2.3, 0x, 1e, '+', -, 0b2, 1a]",
         "[[\"1.2.3\",\"0x\",\"1e\",\"+\",\"-\",\"0b2\",\"1a\"]]"},
        {"tags", "[!!str 5, !!int '5', !!float 5, !!null '', !!bool 'yes', ! 5]",
         "[[\"5\",5,5.0,null,true,\"5\"]]"},
    };

    (void)state;
    CHECK_ROWS(rows);
}

static void tree_yaml_reads_structure(void **state)
{
    static const struct value_row rows[] = {
        {"no document", "", "[]"},
        {"only comments", "# nothing\n---\n# here\n", "[]"},
        {"documents", "a: 1\n---\n---\nb: 2\n...\n", "[{\"a\":1},{\"b\":2}]"},
        {"keys become strings", "1: a\ntrue: b\n1.5: c\n",
         "[{\"1\":\"a\",\"true\":\"b\",\"1.5\":\"c\"}]"},
        {"aliases", "a: &x [1, 2]\nb: *x\n", "[{\"a\":[1,2],\"b\":[1,2]}]"},
        {"an anchor may be given again", "a: &x 1\nb: &x 2\nc: *x\n",
         "[{\"a\":1,\"b\":2,\"c\":2}]"},
        {"merge key", "a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n",
         "[{\"a\":{\"p\":1,\"q\":2},\"b\":{\"q\":3,\"p\":1}}]"},
        {"merge list: the earlier wins", "<<: [{p: 1}, {p: 2, q: 3}]\n", "[{\"p\":1,\"q\":3}]"},
        {"a quoted << is a key", "'<<': 1\n", "[{\"<<\":1}]"},
        {"literal and folded", "a: |\n  x\n  y\nb: >-\n  x\n  y\n",
         "[{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}]"},
        {"JSON", "{\"a\": [1, true, null, \"\\ud83d\\ude00\"]}\n{\"b\": 2}",
         "[{\"a\":[1,true,null,\"\xf0\x9f\x98\x80\"]},{\"b\":2}]"},
        {"JSON that is only YAML", "{a: [1, 2], \"b\": x}\n", "[{\"a\":[1,2],\"b\":\"x\"}]"},
        {"byte order mark",
         "\xef\xbb\xbf"
         "a: 1\n",
         "[{\"a\":1}]"},
        {"CRLF", "a: 1\r\nb: 2\r\n", "[{\"a\":1,\"b\":2}]"},
    };

    (void)state;
    CHECK_ROWS(rows);
}

struct error_row {
    const char *label;
    const char *yaml;
    const char *place; /* how the text begins */
    enum mir_code code;
};

static void tree_yaml_refuses_with_line_and_column(void **state)
{
    static const struct error_row rows[] = {
        {"duplicate key", "a: 1\nb:\n  c: 1\n  c: 2\n", "t:4:3: key \"c\"", MIR_E_FORMAT},
        {"duplicate by resolution", "1: a\n0x1: b\n", "t:2:1: key \"1\"", MIR_E_FORMAT},
        {"duplicate in JSON", "{\"a\": 1,\n \"a\": 2}", "t:2:2: key \"a\"", MIR_E_FORMAT},
        {"duplicate merge", "<<: {a: 1}\n<<: {b: 1}\n", "t:2:1: ", MIR_E_FORMAT},
        {"merge of a scalar", "<<: 5\n", "t:1:1: \"<<\"", MIR_E_FORMAT},
        {"merge of a list of scalars", "<<: [5]\n", "t:1:1: \"<<\"", MIR_E_FORMAT},
        {"unclosed list", "a: [1, 2\n", "t:2:1: ", MIR_E_FORMAT},
        {"tab as indent", "a:\n\t- b\n", "t:2:1: ", MIR_E_FORMAT},
        {"unknown alias", "a: *x\n", "t:1:4: alias", MIR_E_FORMAT},
        {"anchors end with the document", "a: &x 1\n---\nb: *x\n", "t:3:4: alias", MIR_E_FORMAT},
        {"anchor in itself", "a: &x\n- *x\n", "t:2:3: anchor that contains itself", MIR_E_FORMAT},
        {"unknown tag", "a: !mine x\n", "t:1:4: tag", MIR_E_FORMAT},
        {"tag that does not fit", "a: !!int x\n", "t:1:4: tag", MIR_E_FORMAT},
        {"mapping tag on a list", "a: !!map [1]\n", "t:1:4: tag", MIR_E_FORMAT},
        {"infinity", "a: .inf\n", "t:1:4: infinite", MIR_E_FORMAT},
        {"null key", "~: a\n", "t:1:1: key", MIR_E_FORMAT},
        {"list as key", "? [a]\n: b\n", "t:1:3: key", MIR_E_FORMAT},
        {"NUL in a string", "a: \"x\\0y\"\n", "t:1:4: NUL", MIR_E_FORMAT},
        {"NUL in a key", "\"x\\0y\": 1\n", "t:1:1: NUL", MIR_E_FORMAT},
        {"control character", "a: x\nb: x\x01y\n", "t:2:5: byte 9: ", MIR_E_FORMAT},
        {"invalid UTF-8", "a: x\n\nb: \xff\xfe\n", "t:3:4: byte 9: ", MIR_E_FORMAT},
        {"two values in one document", "a: 1\n- b\n", "t:2:1: ", MIR_E_FORMAT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_free char *json = parse_to_json(rows[i].yaml, &err);

        if (json)
            fail_msg("%s: was taken for %s", rows[i].label, json);
        if (err.code != rows[i].code || !mir_starts_with(err.text, rows[i].place))
            fail_msg("%s: code %d, %s", rows[i].label, err.code, err.text);
    }
}

/* Texts with a NUL among blanks, at the end of their memory. */
static void tree_refuses_nul_wherever_it_stands(void **state)
{
    static const struct mir_span texts[] = {{"\0\t", 2},   {"\0", 1},     {" \0", 2},
                                            {"{}\0", 3},   {"\n\0\n", 3}, {"{}\0 ", 4},
                                            {"{}\0{}", 5}, {"[4\0]", 4},  {"[{\"a\":[4\0]}]", 12}};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char *copy = mir_alloc(texts[i].len);
        struct mir_error err = MIR_ERROR_INIT;
        auto_json *documents = NULL;

        memcpy(copy, texts[i].ptr, texts[i].len);
        if (mir_yaml_parse(mir_span(copy, texts[i].len), "t", &documents, &err))
            fail_msg("text %zu was taken", i);
        assert_int_equal(err.code, MIR_E_FORMAT);
        mir_error_clear(&err);
        if (mir_json_parse(mir_span(copy, texts[i].len), "t", &documents, &err))
            fail_msg("text %zu was taken as JSON", i);
        assert_int_equal(err.code, MIR_E_FORMAT);
        free(copy);
    }
}

static void tree_yaml_bounds_depth(void **state)
{
    static const char *const opens[] = {"[", "{\"a\":", "[ {a: ", "- "};

    (void)state;
    for (size_t i = 0; i < sizeof(opens) / sizeof(opens[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_buf text;
        auto_free char *json = NULL;

        mir_buf_init(&text, 1 << 20);
        for (int n = 0; n < 5000; n++)
            mir_buf_text(&text, opens[i]);
        json = parse_to_json(text.ptr, &err);
        assert_null(json);
        assert_int_equal(err.code, MIR_E_LIMIT);
    }
}

static void tree_yaml_counts_depth_through_aliases(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_buf text;
    auto_free char *json = NULL;

    (void)state;
    mir_buf_init(&text, 1 << 20);
    mir_buf_text(&text, "a0: &a0 [x]\n");
    for (int n = 1; n < 70; n++)
        mir_buf_printf(&text, "a%d: &a%d [*a%d]\n", n, n, n - 1);
    json = parse_to_json(text.ptr, &err);
    assert_null(json);
    assert_int_equal(err.code, MIR_E_LIMIT);
    assert_non_null(strstr(err.text, "t:63:"));
}

static void tree_yaml_bounds_alias_bombs(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_buf text;
    auto_free char *json = NULL;

    (void)state;
    mir_buf_init(&text, 1 << 20);
    mir_buf_text(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int n = 1; n < 12; n++) {
        mir_buf_printf(&text, "a%d: &a%d [", n, n);
        for (int k = 0; k < 10; k++)
            mir_buf_printf(&text, "*a%d, ", n - 1);
        mir_buf_text(&text, "]\n");
    }
    json = parse_to_json(text.ptr, &err);
    assert_null(json);
    assert_int_equal(err.code, MIR_E_LIMIT);
}

static void tree_json_refuses_what_json_is_not(void **state)
{
    static const char *const rows[] = {"",    "{\"a\":1,}",          "{\"a\":1,\"a\":2}", "[1 2]",
                                       "nul", "{\"a\":\"\\u0000\"}", "[\"\xff\"]",        "{}x"};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_json *value = NULL;

        if (mir_json_parse(mir_span_of(rows[i]), "t", &value, &err))
            fail_msg("%s: was taken", rows[i]);
        assert_int_equal(err.code, MIR_E_FORMAT);
        assert_true(mir_starts_with(err.text, "t:1:"));
    }
}

static void tree_json_bounds_depth(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_buf text;
    auto_json *value = NULL;

    (void)state;
    mir_buf_init(&text, 1 << 20);
    for (int n = 0; n < 65; n++)
        mir_buf_char(&text, '[');
    for (int n = 0; n < 65; n++)
        mir_buf_char(&text, ']');
    assert_false(mir_json_parse(mir_buf_span(&text), "t", &value, &err));
    assert_int_equal(err.code, MIR_E_LIMIT);
    mir_error_clear(&err);
    assert_true(mir_json_parse(mir_span(text.ptr + 1, 128), "t", &value, &err));
}

struct format_row {
    const char *label;
    const char *json;
    const char *yaml;
};

static const struct format_row format_rows[] = {
    {"object like kubectl's",
     "{\"kind\":\"A\",\"spec\":{\"x\":[{\"b\":1,\"a\":[\"p\",\"q\"]},{\"c\":{}}],\"z\":[]}}",
     "kind: A\nspec:\n  x:\n  - b: 1\n    a:\n    - p\n    - q\n  - c: {}\n  z: []\n"},
    {"lists in lists", "[[1,2],[[3]],[]]", "- - 1\n  - 2\n- - - 3\n- []\n"},
    {"strings that look like others",
     "[\"true\",\"no\",\"5\",\"1.5\",\"~\",\"\",\"2019-05-17\",\"12:30\",\"12:70\",\"0x1f\",\"<<\","
     "\"1_0\"]",
     "- \"true\"\n- \"no\"\n- \"5\"\n- \"1.5\"\n- \"~\"\n- \"\"\n- \"2019-05-17\"\n- \"12:30\"\n"
     "- 12:70\n- \"0x1f\"\n- \"<<\"\n- \"1_0\"\n"},
    {"strings in the way",
     "[\"*.a.com\",\"- a\",\"-a\",\"a: b\",\"a:b\",\"a #b\",\"a#b\",\" "
     "a\",\"a:\",\"'q'\",\"it's\",\"@x\"]",
     "- '*.a.com'\n- '- a'\n- -a\n- 'a: b'\n- a:b\n- 'a #b'\n- a#b\n- ' a'\n- 'a:'\n- '''q'''\n"
     "- it's\n- '@x'\n"},
    {"escapes", "[\"a\\tb\",\"\\u0007\",\"q\\\"\\r\",\"\\u2028\",\"\\ud83d\\ude00\",\"\\u00e9\"]",
     "- \"a\\tb\"\n- \"\\x07\"\n- \"q\\\"\\r\"\n- \"\\u2028\"\n- \"\\U0001F600\"\n- \xc3\xa9\n"},
    {"literal", "{\"a\":\"x\\n y\\n\",\"b\":\"x\\n\\ny\",\"c\":\"x\\n\\n\",\"d\":1}",
     "a: |\n  x\n   y\nb: |-\n  x\n\n  y\nc: |+\n  x\n\nd: 1\n"},
    {"not literal", "[\" x\\ny\",\"\\nx\",\"x\\r\\ny\"]",
     "- \" x\\ny\"\n- \"\\nx\"\n- \"x\\r\\ny\"\n"},
    {"literal in a list", "[\"x\\ny\\n\",{\"k\":\"x\\ny\\n\"}]",
     "- |\n  x\n  y\n- k: |\n    x\n    y\n"},
    {"numbers", "[1.5,2.0,1e100,-3,null,false]", "- 1.5\n- 2.0\n- 1e+100\n- -3\n- null\n- false\n"},
    {"keys", "{\"*.a\":1,\"5\":2,\"a:b\":3,\"\":4,\"x\\ny\":5}",
     "'*.a': 1\n\"5\": 2\na:b: 3\n\"\": 4\n\"x\\ny\": 5\n"},
};

static void tree_yaml_writes_like_kubernetes_tools(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(format_rows) / sizeof(format_rows[0]); i++) {
        const struct format_row *row = &format_rows[i];
        auto_json *value = json_loads(row->json, JSON_DECODE_ANY, NULL);
        auto_buf text;

        assert_non_null(value);
        mir_buf_init(&text, 1 << 20);
        mir_yaml_format(value, &text);
        if (strcmp(text.ptr, row->yaml) != 0)
            fail_msg("%s: got\n%s", row->label, text.ptr);
    }
}

static void check_round_trip(const char *label, json_t *value)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_json *documents = NULL;
    auto_buf text;

    mir_buf_init(&text, 1 << 20);
    mir_yaml_format(value, &text);
    if (!mir_yaml_parse(mir_buf_span(&text), "t", &documents, &err))
        fail_msg("%s: %s in\n%s", label, err.text, text.ptr);
    if (json_array_size(documents) != 1 || !json_equal(json_array_get(documents, 0), value))
        fail_msg("%s: changed by\n%s", label, text.ptr);
}

static void tree_yaml_reads_back_what_it_writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(format_rows) / sizeof(format_rows[0]); i++) {
        auto_json *value = json_loads(format_rows[i].json, JSON_DECODE_ANY, NULL);

        check_round_trip(format_rows[i].label, value);
    }
}

/* Strings of the characters that YAML gives a meaning to, as value, key and item. */
static void tree_yaml_reads_back_any_string(void **state)
{
    static const char alphabet[] = " \n\t-:#'\"\\ax0.*&!|>%@`?,[]{}~<=\r_/";
    uint32_t seed = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char text[12];
        size_t len = round % 11;
        auto_json *value = NULL;

        for (size_t i = 0; i < len; i++) {
            seed = seed * 1664525u + 1013904223u;
            text[i] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
        }
        text[len] = '\0';
        value = json_pack("{s:s, s:[s, {s:s}], s:i}", "k", text, "list", text, text, text, "z", 1);
        assert_non_null(value);
        check_round_trip("random string", value);
    }
}

static void tree_yaml_writes_long_keys(void **state)
{
    char key[200];
    auto_json *value = json_object();

    (void)state;
    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    json_object_set_new(value, key, json_pack("{s:b, s:i}", "x", 1, "y", 2));
    check_round_trip("long key", value);
    key[129] = '\0';
    json_object_clear(value);
    json_object_set_new(value, key, json_pack("{s:[i, i]}", "x", 1, 2));
    check_round_trip("129 bytes", value);
}

/* ---- lines ---- */

/* Follow "key", "2", ... from the documents; the line of the last, or 0. */
static unsigned line_at(const struct mir_lines *lines, json_t *documents, const char *path)
{
    struct mir_span rest = mir_span_of(path);
    struct mir_span piece;
    json_t *at = documents;
    unsigned line = 0;

    while (mir_span_next(&rest, '/', &piece)) {
        auto_free char *step = mir_strndup(piece.ptr, piece.len);

        if (json_is_array(at)) {
            line = mir_lines_item(lines, at, strtoul(step, NULL, 10));
            at = json_array_get(at, strtoul(step, NULL, 10));
        } else {
            line = mir_lines_member(lines, at, step);
            at = json_object_get(at, step);
        }
    }
    return line;
}

static void tree_yaml_knows_the_line_of_every_value(void **state)
{
    static const struct {
        const char *label, *yaml, *path;
        unsigned line;
    } rows[] = {
        {"document", "# c\n\na: 1\n", "0", 3},
        {"second document", "a: 1\n---\nb: 1\n", "1", 3},
        {"empty documents count no lines away", "---\n---\nb: 1\n", "0/b", 3},
        {"member", "a: 1\nb: x\n", "0/b", 2},
        {"value below its key", "a:\n  x\n", "0/a", 2},
        {"null", "a: 1\nb: ~\n", "0/b", 2},
        {"no value at all", "a: 1\nb:\nc: 2\n", "0/b", 2},
        {"booleans", "a:\n- yes\n- no\n", "0/a/1", 3},
        {"flow list over lines", "a: [1,\n 2,\n\n 3]\n", "0/a/2", 4},
        {"block text begins at its mark", "a: 1\nb: |\n  x\n  y\nc: 2\n", "0/b", 2},
        {"behind a block text", "b: |\n  x\n  y\nc: 2\n", "0/c", 4},
        {"CRLF", "a: 1\r\nb: 2\r\n", "0/b", 2},
        {"an alias stands where it is written", "a: &x q\nb: 1\nc: *x\n", "0/c", 3},
        {"what is in it, where its anchor is", "a: &x\n- q\n- r\nb: 1\nc: *x\n", "0/c/1", 3},
        {"merged keys keep their lines", "a: &x {k: 1,\n l: 2}\nb:\n  m: 1\n  <<: *x\n", "0/b/l",
         2},
        {"own keys beside merged ones", "a: &x {k: 1,\n l: 2}\nb:\n  <<: *x\n  l: 1\n", "0/b/l", 5},
        {"JSON", "{\"a\": 1,\n\"b\": [{}, [],\n null]}", "0/b/2", 3},
        {"JSON behind strings with brackets", "{\"a}\\\"\": \"],{\\\\\",\n\"b\": 1}", "0/b", 2},
        {"JSON behind empty containers", "{\"a\": { }, \"b\": [\n]\n, \"c\":\n-1.5e3 }", "0/c", 4},
        {"JSON value below its key", "{\"a\"\n:\n1}", "0/a", 3},
        {"JSON values one after the other", "\n{\"a\": 1}\n{\"a\":\n2}", "1/a", 4},
        {"JSON document", "\n\n{\"a\": 1}\n\n[1]", "1", 5},
        {"no such member", "a: 1\n", "0/b", 0},
        {"no such item", "a: [1]\n", "0/a/1", 0},
        {"child of a scalar", "a: 1\n", "0/a/b", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_lines *lines = mir_lines_new();
        auto_json *documents = NULL;
        struct mir_error err = MIR_ERROR_INIT;
        unsigned line;

        if (!mir_yaml_parse_lines(mir_span_of(rows[i].yaml), "t", lines, &documents, &err))
            fail_msg("%s: %s", rows[i].label, err.text);
        line = line_at(lines, documents, rows[i].path);
        if (line != rows[i].line)
            fail_msg("%s: line %u", rows[i].label, line);
        assert_int_equal(line_at(NULL, documents, rows[i].path), 0);
    }
}

/* Trees of one table do not disturb each other; one that was not read into it has no lines. */
static void tree_lines_are_of_one_tree(void **state)
{
    auto_lines *lines = mir_lines_new();
    auto_json *first = NULL;
    auto_json *second = NULL;
    auto_json *other = NULL;
    struct mir_error err = MIR_ERROR_INIT;

    (void)state;
    assert_true(mir_yaml_parse_lines(mir_span_of("a: 1\n"), "t", lines, &first, &err));
    assert_true(mir_yaml_parse_lines(mir_span_of("\n\na: 1\n"), "t", lines, &second, &err));
    assert_true(mir_yaml_parse(mir_span_of("a: 1\n"), "t", &other, &err));
    assert_int_equal(line_at(lines, first, "0/a"), 1);
    assert_int_equal(line_at(lines, second, "0/a"), 3);
    assert_int_equal(line_at(lines, other, "0/a"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_yaml_resolves_scalars_as_kubernetes_does),
        cmocka_unit_test(tree_yaml_reads_structure),
        cmocka_unit_test(tree_yaml_refuses_with_line_and_column),
        cmocka_unit_test(tree_refuses_nul_wherever_it_stands),
        cmocka_unit_test(tree_yaml_bounds_depth),
        cmocka_unit_test(tree_yaml_counts_depth_through_aliases),
        cmocka_unit_test(tree_yaml_bounds_alias_bombs),
        cmocka_unit_test(tree_json_refuses_what_json_is_not),
        cmocka_unit_test(tree_json_bounds_depth),
        cmocka_unit_test(tree_yaml_writes_like_kubernetes_tools),
        cmocka_unit_test(tree_yaml_reads_back_what_it_writes),
        cmocka_unit_test(tree_yaml_reads_back_any_string),
        cmocka_unit_test(tree_yaml_writes_long_keys),
        cmocka_unit_test(tree_yaml_knows_the_line_of_every_value),
        cmocka_unit_test(tree_lines_are_of_one_tree),
    };

    return cmocka_run_group_tests_name("base/tree", tests, NULL, NULL);
}
