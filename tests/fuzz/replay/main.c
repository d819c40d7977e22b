/*
 * Replay fuzz inputs without a fuzzer: every file of the folders named as arguments goes through
 * LLVMFuzzerTestOneInput once. `make check` does this for the corpus.
 */
#include <dirent.h>
#include <stdint.h>

#include "base/file.h"

#define INPUT_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool replay_file(const char *path, struct mir_error *err)
{
    auto_free char *data = NULL;
    size_t len;

    if (!mir_file_read(path, INPUT_MAX, &data, &len, err))
        return false;
    (void)LLVMFuzzerTestOneInput((const uint8_t *)data, len);
    return true;
}

int main(int argc, char **argv)
{
    struct mir_error err = MIR_ERROR_INIT;
    size_t count = 0;

    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        const struct dirent *entry;

        if (!dir) {
            (void)fprintf(stderr, "replay: cannot open %s\n", argv[i]);
            return 1;
        }
        for (entry = readdir(dir); entry; entry = readdir(dir)) {
            auto_free char *path = NULL;

            if (entry->d_name[0] == '.')
                continue;
            path = mir_format("%s/%s", argv[i], entry->d_name);
            if (!replay_file(path, &err)) {
                (void)fprintf(stderr, "replay: %s\n", err.text);
                (void)closedir(dir);
                return 1;
            }
            count++;
        }
        (void)closedir(dir);
    }
    (void)printf("%zu inputs replayed\n", count);
    return count > 0 ? 0 : 1;
}
