/*
 * bundle/journal: what it says is what was noted, and what it would not have written is refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "bundle/journal_priv.h"
#include "lib/must.h"
#include "lib/scratch.h"

/* ---- fixtures ---- */

#define BLOBS 5

struct place {
    char *dir;
    char *path; /* of a journal, not there yet */
    struct bundle_blob blobs[BLOBS];
    struct bundle_plan *plan;
};

static struct bundle_plan *make_plan(const struct place *place, size_t blobs)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_plan *plan = NULL;

    must(bundle_plan_new(NULL, 0, place->blobs, blobs, 0, &plan, &err), &err);
    return plan;
}

static int set_up(void **state)
{
    struct place *place = mir_alloc(sizeof(*place));

    place->dir = scratch_new();
    place->path = mir_format("%s/x.tar.journal", place->dir);
    for (size_t i = 0; i < BLOBS; i++) {
        enum mir_hash_algo algo = i == 3 ? MIR_HASH_SHA512 : MIR_HASH_SHA256;

        img_digest_of(algo, mir_span(&i, sizeof(i)), &place->blobs[i].digest);
        place->blobs[i].size = 1000000 * i;
    }
    place->plan = make_plan(place, BLOBS);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    bundle_plan_free(place->plan);
    scratch_remove(place->dir);
    free(place->path);
    free(place);
    return 0;
}

static struct bundle_journal *create(const struct place *place)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_journal *journal = NULL;
    auto_record record;

    bundle_record_of_plan(place->plan, 0, &record);
    must(bundle_journal_create(place->path, &record, &journal, &err), &err);
    return journal;
}

static void read_again(const struct place *place, struct bundle_record *out)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_journal *journal = NULL;

    must(bundle_journal_open(place->path, &journal, out, &err), &err);
    bundle_journal_close(journal);
}

/* ---- what was noted ---- */

static void journal_of_a_plan_says_where_every_blob_goes(void **state)
{
    struct place *place = *state;
    auto_record record;

    bundle_journal_close(create(place));
    read_again(place, &record);
    assert_int_equal(record.state, BUNDLE_JOURNAL_WRITING);
    assert_int_equal(record.bytes, bundle_plan_bytes(place->plan));
    assert_int_equal(record.volume_bytes, 0);
    assert_int_equal(record.count, BLOBS);
    for (size_t i = 0; i < BLOBS; i++) {
        assert_int_equal(record.places[i].key, bundle_record_key(&place->blobs[i].digest));
        assert_int_equal(record.places[i].offset, place->plan->blob_offsets[i]);
        assert_int_equal(record.places[i].reached, 0);
    }
    assert_int_equal(bundle_record_reached(&record), 0);
}

static void journal_remembers_each_blob_by_itself(void **state)
{
    struct place *place = *state;
    struct bundle_journal *journal = create(place);
    struct mir_error err = MIR_ERROR_INIT;
    auto_record record;

    must(bundle_journal_note(journal, 4, 4000000, &err), &err);
    must(bundle_journal_note(journal, 1, 77, &err), &err);
    must(bundle_journal_note(journal, 4, 5, &err), &err);
    must(bundle_journal_move(journal, 2, 512, 1999999, &err), &err);
    bundle_journal_close(journal);
    read_again(place, &record);
    assert_int_equal(record.places[0].reached, 0);
    assert_int_equal(record.places[1].reached, 77);
    assert_int_equal(record.places[2].offset, 512);
    assert_int_equal(record.places[2].reached, 1999999);
    assert_int_equal(record.places[3].reached, 0);
    assert_int_equal(record.places[4].reached, 5);
    assert_int_equal(bundle_record_reached(&record), 77 + 1999999 + 5);
}

static void journal_remembers_its_state_and_a_shorter_set(void **state)
{
    struct place *place = *state;
    auto_record planned, record;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_journal *journal = NULL;

    bundle_record_of_plan(place->plan, 1u << 20, &planned);
    must(bundle_journal_create(place->path, &planned, &journal, &err), &err);
    must(bundle_journal_enter(journal, BUNDLE_JOURNAL_MOVING, planned.bytes, &err), &err);
    /* the last blob lies beyond the end now, and nothing of it is there */
    must(bundle_journal_enter(journal, BUNDLE_JOURNAL_COMMITTING, 2048, &err), &err);
    bundle_journal_close(journal);
    read_again(place, &record);
    assert_int_equal(record.state, BUNDLE_JOURNAL_COMMITTING);
    assert_int_equal(record.bytes, 2048);
    assert_int_equal(record.volume_bytes, 1u << 20);
    assert_string_equal(record.plan, planned.plan);
}

static void journal_tells_plans_apart(void **state)
{
    struct place *place = *state;
    struct bundle_plan *shorter = make_plan(place, BLOBS - 1), *same = make_plan(place, BLOBS);
    struct bundle_blob first = place->blobs[0];
    struct bundle_plan *reordered;
    auto_record a, b, c, d, e;

    bundle_record_of_plan(place->plan, 0, &a);
    bundle_record_of_plan(same, 0, &b);
    bundle_record_of_plan(shorter, 0, &c);
    bundle_record_of_plan(place->plan, 1u << 20, &d);
    place->blobs[0] = place->blobs[1];
    place->blobs[1] = first;
    reordered = make_plan(place, BLOBS);
    bundle_record_of_plan(reordered, 0, &e);
    assert_string_equal(a.plan, b.plan);
    assert_string_not_equal(a.plan, c.plan);
    assert_string_not_equal(a.plan, d.plan);
    assert_string_not_equal(a.plan, e.plan);
    bundle_plan_free(shorter);
    bundle_plan_free(same);
    bundle_plan_free(reordered);
}

/* Large bundles are no trouble, and the journal of many small blobs is small. */
static void journal_takes_less_than_40_bytes_a_blob(void **state)
{
    struct place *place = *state;
    auto_record record = {.bytes = 40u << 20, .count = 1000};
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_journal *journal = NULL;

    record.places = mir_alloc_array(record.count, sizeof(*record.places));
    mir_hash_bytes(MIR_HASH_SHA256, mir_span_of("x"), record.plan);
    must(bundle_journal_create(place->path, &record, &journal, &err), &err);
    bundle_journal_close(journal);
    assert_in_range(scratch_size(place->path), 1000, 40 * 1000);
}

static void journal_has_room_for_the_largest_numbers(void **state)
{
    struct place *place = *state;
    auto_record record = {.bytes = INT64_MAX, .count = 1}, again;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_journal *journal = NULL;

    record.places = mir_alloc_array(1, sizeof(*record.places));
    record.places[0] = (struct bundle_place){.key = 1, .offset = 512};
    mir_hash_bytes(MIR_HASH_SHA256, mir_span_of("x"), record.plan);
    must(bundle_journal_create(place->path, &record, &journal, &err), &err);
    must(bundle_journal_note(journal, 0, INT64_MAX - 512, &err), &err);
    bundle_journal_close(journal);
    read_again(place, &again);
    assert_int_equal(again.bytes, INT64_MAX);
    assert_int_equal(again.places[0].reached, INT64_MAX - 512);
}

/* ---- what is refused ---- */

#define PLAN64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD(state, bytes, volume, count, width)                                                   \
    "mirror-journal 1 " state " " bytes " " volume " " count " " width " " PLAN64 "\n"
#define B4096   "0000000000001000"
#define NOTHING "0000000000000000"
#define SOUND   HEAD("writing   ", B4096, NOTHING, "00000001", "04")
#define LINE    "0123456789ab 0200 0100\n"

struct text_row {
    const char *label;
    const char *text;
    bool taken;
};

static void journal_refuses_what_it_would_not_have_written(void **state)
{
    static const struct text_row rows[] = {
        {"sound", SOUND LINE, true},
        {"no blobs", HEAD("writing   ", B4096, NOTHING, "00000000", "04"), true},
        {"wider than needed",
         HEAD("moving    ", B4096, NOTHING, "00000001", "05") "0123456789ab 00200 00100\n", true},
        {"volumes", HEAD("committing", B4096, "0000000000010000", "00000001", "04") LINE, true},
        {"beyond the end, but nothing",
         HEAD("moving    ", B4096, NOTHING, "00000001", "04") "0123456789ab f000 0000\n", true},
        {"empty", "", false},
        {"another file", "PK\x03\x04 and so on, as long as a head would be, or even longer", false},
        {"another version", "mirror-journal 2 writing   ", false},
        {"cut in the head", "mirror-journal 1 writing   ", false},
        {"an unknown state", HEAD("dreaming  ", B4096, NOTHING, "00000001", "04") LINE, false},
        {"committing one file", HEAD("committing", B4096, NOTHING, "00000001", "04") LINE, false},
        {"no line", SOUND, false},
        {"two lines", SOUND LINE LINE, false},
        {"cut in a line", SOUND "0123456789ab 0200 01", false},
        {"no newline", SOUND "0123456789ab 0200 01000", false},
        {"a count of billions", HEAD("writing   ", B4096, NOTHING, "ffffffff", "04") LINE, false},
        {"reached beyond the end", SOUND "0123456789ab 0200 0e01\n", false},
        {"an offset beyond the end", SOUND "0123456789ab 1001 0001\n", false},
        {"capitals", SOUND "0123456789AB 0200 0100\n", false},
        {"a sign", SOUND "0123456789ab 0200 -100\n", false},
        {"blanks", SOUND "0123456789ab 0200  100\n", false},
        {"width 0", HEAD("writing   ", B4096, NOTHING, "00000001", "00") "0123456789ab  \n", false},
        {"width 17",
         HEAD("writing   ", B4096, NOTHING, "00000001",
              "17") "0123456789ab 00000000000000000 00000000000000000\n",
         false},
        {"a width in hex",
         HEAD("writing   ", B4096, NOTHING, "00000001",
              "0f") "0123456789ab 000000000000000 000000000000000\n",
         false},
        {"too narrow",
         HEAD("writing   ", B4096, NOTHING, "00000001", "03") "0123456789ab 200 100\n", false},
        {"more bytes than a file has",
         HEAD("writing   ", "8000000000000000", NOTHING, "00000001",
              "16") "0123456789ab 0000000000000200 0000000000000100\n",
         false},
        {"volumes of odd size",
         HEAD("writing   ", B4096, "0000000000010001", "00000001", "04") LINE, false},
        {"tiny volumes", HEAD("writing   ", B4096, "0000000000000200", "00000001", "04") LINE,
         false},
        {"too many volumes",
         HEAD("writing   ", "00000000ffffffff", "0000000000010000", "00000000", "08"), false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mir_error err = MIR_ERROR_INIT;
        auto_record record = {.count = 0};
        bool taken = bundle_record_parse(mir_span_of(rows[i].text), &record, &err);

        if (taken != rows[i].taken)
            fail_msg("%s: %s", rows[i].label, taken ? "taken" : err.text);
        if (!taken)
            assert_int_equal(err.code, MIR_E_FORMAT);
    }
}

/* Every byte of a sound journal matters, or does no harm. */
static void journal_survives_any_one_wrong_byte(void **state)
{
    const size_t len = strlen(SOUND LINE);
    auto_free char *text = mir_alloc(len);

    (void)state;
    for (size_t at = 0; at < len; at++)
        for (unsigned value = 0; value < 256; value++) {
            struct mir_error err = MIR_ERROR_INIT;
            auto_record record = {.count = 0};

            memcpy(text, SOUND LINE, len);
            text[at] = (char)value;
            if (!bundle_record_parse(mir_span(text, len), &record, &err))
                continue;
            assert_int_equal(record.count, 1);
            assert_true(record.places[0].reached == 0 ||
                        record.places[0].offset + record.places[0].reached <= record.bytes);
        }
}

static void journal_opens_no_links_and_no_devices(void **state)
{
    struct place *place = *state;
    auto_free char *elsewhere = mir_format("%s/elsewhere", place->dir);
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_journal *journal = NULL;
    auto_record record = {.count = 0};

    scratch_write(elsewhere, mir_span_of(SOUND LINE));
    assert_int_equal(symlink("elsewhere", place->path), 0);
    assert_false(bundle_journal_open(place->path, &journal, &record, &err));
    mir_error_clear(&err);
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(mkfifo(place->path, 0600), 0);
    assert_false(bundle_journal_open(place->path, &journal, &record, &err));
    mir_error_clear(&err);
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(mkdir(place->path, 0700), 0);
    assert_false(bundle_journal_open(place->path, &journal, &record, &err));
}

static void journal_is_not_created_over_another(void **state)
{
    struct place *place = *state;
    struct mir_error err = MIR_ERROR_INIT;
    struct bundle_journal *journal = NULL;
    auto_record record;

    bundle_record_of_plan(place->plan, 0, &record);
    assert_int_equal(symlink("/nowhere/at/all", place->path), 0);
    assert_false(bundle_journal_create(place->path, &record, &journal, &err));
    assert_int_equal(err.code, MIR_E_CONFLICT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(journal_of_a_plan_says_where_every_blob_goes),
    TEST(journal_remembers_each_blob_by_itself),
    TEST(journal_remembers_its_state_and_a_shorter_set),
    TEST(journal_tells_plans_apart),
    TEST(journal_takes_less_than_40_bytes_a_blob),
    TEST(journal_has_room_for_the_largest_numbers),
    TEST(journal_refuses_what_it_would_not_have_written),
    TEST(journal_survives_any_one_wrong_byte),
    TEST(journal_opens_no_links_and_no_devices),
    TEST(journal_is_not_created_over_another),
};

int main(void)
{
    return cmocka_run_group_tests_name("bundle/journal", tests, NULL, NULL);
}
