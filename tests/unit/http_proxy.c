/*
 * Which proxy a URL goes through: the names of the environment, and NO_PROXY as Go reads it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/http_priv.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const variables[] = {"HTTP_PROXY",  "http_proxy", "HTTPS_PROXY",
                                        "https_proxy", "ALL_PROXY",  "all_proxy",
                                        "NO_PROXY",    "no_proxy",   "REQUEST_METHOD"};

static void clear(void)
{
    for (size_t i = 0; i < COUNT(variables); i++)
        (void)unsetenv(variables[i]);
}

static void set(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

/* What the URL goes through, as people see it; "direct" without. The caller frees. */
static char *way_to(const char *url)
{
    struct http_proxies *proxies = http_proxies_new();
    const struct http_proxy *proxy = http_proxy_for(proxies, url);
    char *way = mir_strdup("direct");

    if (proxy) {
        free(way);
        way = mir_format("%s %s", proxy->is_bad ? "bad" : proxy->shown, proxy->variable);
    }
    http_proxies_free(proxies);
    return way;
}

static void proxy_variables_are_read_in_order(void **state)
{
    const struct {
        const char *label;
        const char *set[4]; /* "NAME=VALUE" */
        const char *url;
        const char *way;
    } rows[] = {
        {"nothing set", {NULL}, "https://a.example/", "direct"},
        {"https", {"HTTPS_PROXY=http://p:3128"}, "https://a.example/", "http://p:3128 HTTPS_PROXY"},
        {"https only", {"HTTPS_PROXY=http://p:3128"}, "http://a.example/", "direct"},
        {"http only", {"HTTP_PROXY=http://p:3128"}, "https://a.example/", "direct"},
        {"lower case", {"https_proxy=http://p:1"}, "https://a.example/", "http://p:1 https_proxy"},
        {"upper before lower",
         {"https_proxy=http://low:1", "HTTPS_PROXY=http://up:1"},
         "https://a.example/",
         "http://up:1 HTTPS_PROXY"},
        {"empty is not set",
         {"HTTP_PROXY=", "http_proxy=http://low:1"},
         "http://a.example/",
         "http://low:1 http_proxy"},
        {"both schemes from one",
         {"ALL_PROXY=http://p:1"},
         "http://a.example/",
         "http://p:1 ALL_PROXY"},
        {"the scheme's own first",
         {"ALL_PROXY=http://p:1", "HTTPS_PROXY=http://q:1"},
         "https://a.example/",
         "http://q:1 HTTPS_PROXY"},
        {"not from CGI's clients",
         {"REQUEST_METHOD=GET", "HTTP_PROXY=http://p:1"},
         "http://a.example/",
         "direct"},
        {"CGI and lower case",
         {"REQUEST_METHOD=GET", "http_proxy=http://p:1"},
         "http://a.example/",
         "http://p:1 http_proxy"},
        {"without scheme", {"HTTP_PROXY=p:8080"}, "http://a.example/", "http://p:8080 HTTP_PROXY"},
        {"without port", {"HTTP_PROXY=http://p"}, "http://a.example/", "http://p:80 HTTP_PROXY"},
        {"https without port",
         {"HTTP_PROXY=https://p"},
         "http://a.example/",
         "https://p:443 HTTP_PROXY"},
        {"socks", {"ALL_PROXY=socks5://p:9"}, "https://a.example/", "socks5://p:9 ALL_PROXY"},
        {"socks without port",
         {"ALL_PROXY=socks5h://p"},
         "https://a.example/",
         "socks5h://p:1080 ALL_PROXY"},
        {"IPv6",
         {"HTTP_PROXY=http://[fd00::1]:3128"},
         "http://a.example/",
         "http://[fd00::1]:3128 HTTP_PROXY"},
        {"user and password are not shown",
         {"HTTP_PROXY=http://me:hu%40sh@p:1/"},
         "http://a.example/",
         "http://p:1 HTTP_PROXY"},
        {"another scheme", {"HTTP_PROXY=ftp://p:1"}, "http://a.example/", "bad HTTP_PROXY"},
        {"no URL", {"HTTP_PROXY=http://me:pa ss@p:1"}, "http://a.example/", "bad HTTP_PROXY"},
        {"no host", {"HTTP_PROXY=http://"}, "http://a.example/", "bad HTTP_PROXY"},
        {"localhost", {"ALL_PROXY=http://p:1"}, "http://localhost:5000/", "direct"},
        {"below localhost", {"ALL_PROXY=http://p:1"}, "http://a.localhost/", "direct"},
        {"127/8", {"ALL_PROXY=http://p:1"}, "https://127.9.8.7/", "direct"},
        {"::1", {"ALL_PROXY=http://p:1"}, "https://[::1]:5000/", "direct"},
        {"127/8 in IPv6", {"ALL_PROXY=http://p:1"}, "https://[::ffff:127.0.0.1]/", "direct"},
        {"no loopback", {"ALL_PROXY=http://p:1"}, "https://128.0.0.1/", "http://p:1 ALL_PROXY"},
        {"almost localhost",
         {"ALL_PROXY=http://p:1"},
         "https://notlocalhost/",
         "http://p:1 ALL_PROXY"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *way = NULL;

        clear();
        for (size_t k = 0; k < COUNT(rows[i].set) && rows[i].set[k]; k++) {
            const char *value = strchr(rows[i].set[k], '=') + 1;
            auto_free char *name =
                mir_strndup(rows[i].set[k], (size_t)(value - rows[i].set[k] - 1));

            set(name, value);
        }
        way = way_to(rows[i].url);
        if (strcmp(way, rows[i].way) != 0)
            fail_msg("%s: %s", rows[i].label, way);
    }
    clear();
}

static void no_proxy_is_read_as_go_reads_it(void **state)
{
    const struct {
        const char *no_proxy;
        const char *url;
        bool direct;
    } rows[] = {
        {"", "http://a.example/", false},
        {"*", "http://a.example/", true},
        {"b.example, *", "http://a.example/", true},
        {"example.com", "http://example.com/", true},
        {"example.com", "http://a.b.example.com/", true},
        {"example.com", "http://badexample.com/", false},
        {"example.com", "http://example.com.evil/", false},
        {".example.com", "http://a.example.com/", true},
        {".example.com", "http://example.com/", false},
        {"*.example.com", "http://a.example.com/", true},
        {"*.example.com", "http://example.com/", false},
        {"EXAMPLE.com", "http://A.Example.COM/", true},
        {" a.example , b.example ", "http://b.example/", true},
        {"a.example,,b.example", "http://b.example/", true},
        {"a.example b.example", "http://b.example/", false},
        {"a.example:5000", "http://a.example:5000/", true},
        {"a.example:5000", "http://a.example/", false},
        {"a.example:80", "http://a.example/", true},
        {"a.example:443", "https://a.example/", true},
        {"a.example:80", "https://a.example/", false},
        {".example:5000", "http://a.example:5000/", true},
        {":5000", "http://a.example:5000/", false},
        {"10.1.2.3", "http://10.1.2.3/", true},
        {"10.1.2.3", "http://10.1.2.30/", false},
        {"10.1.2.3:5000", "http://10.1.2.3:5000/", true},
        {"10.1.2.3:5000", "http://10.1.2.3/", false},
        {"10.0.0.0/8", "http://10.200.3.4:5000/", true},
        {"10.0.0.0/8", "http://11.0.0.1/", false},
        {"10.1.2.0/23", "http://10.1.3.255/", true},
        {"10.1.2.0/23", "http://10.1.4.0/", false},
        {"0.0.0.0/0", "http://8.8.8.8/", true},
        {"0.0.0.0/0", "http://a.example/", false},
        {"10.0.0.0/33", "http://10.0.0.0/", false},
        {"10.0.0.0/", "http://10.0.0.0/", false},
        {"10.0.0.0/8", "http://[::ffff:10.1.1.1]/", true},
        {"fd00::/8", "http://[fd12::1]:5000/", true},
        {"fd00::/8", "http://[fe80::1]/", false},
        {"fd00::1", "http://[fd00:0::1]/", true},
        {"[fd00::1]", "http://[fd00::1]/", true},
        {"[fd00::1]:5000", "http://[fd00::1]:5000/", true},
        {"[fd00::1]:5000", "http://[fd00::1]/", false},
        {"::/0", "http://[fd00::1]/", true},
        {"::/129", "http://[fd00::1]/", false},
        {"10.1", "http://10.1.2.3/", false},
        {"2.3", "http://10.1.2.3/", false},
    };

    auto_free char *way = NULL;

    (void)state;
    clear();
    set("HTTP_PROXY", "http://p:1");
    set("HTTPS_PROXY", "http://p:1");
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *found = NULL;

        set("NO_PROXY", rows[i].no_proxy);
        found = way_to(rows[i].url);
        if ((strcmp(found, "direct") == 0) != rows[i].direct)
            fail_msg("NO_PROXY=%s, %s: %s", rows[i].no_proxy, rows[i].url, found);
    }
    set("NO_PROXY", "");
    set("no_proxy", "a.example");
    way = way_to("http://a.example/");
    assert_string_equal(way, "direct");
    clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proxy_variables_are_read_in_order),
        cmocka_unit_test(no_proxy_is_read_as_go_reads_it),
    };

    return cmocka_run_group_tests_name("http/proxy", tests, NULL, NULL);
}
