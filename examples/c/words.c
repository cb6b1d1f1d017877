#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

char **split_words(char *json, int64_t *count) {
    char **words = malloc((strlen(json) / 2 + 1) * sizeof *words);
    *count = 0;
    if (!words) return NULL;
    for (char *in = json; (in = strchr(in, '"'));) {
        char *out = ++in;
        words[(*count)++] = out;
        for (; *in && *in != '"'; in++) { /* words have no control characters: only \" and \\ are escaped */
            if (*in == '\\' && in[1]) in++;
            *out++ = *in;
        }
        in += *in != 0;
        *out = 0;
    }
    return words;
}

static int is_mark(const char *word) {
    static const char *const marks[] = {".", ",", ";", ":", "、", "%", "°"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (!strcmp(word, marks[i])) return 1;
    return 0;
}

/* Whether a word is of a script without blanks. */
static int is_unspaced(const char *word) {
    static const unsigned long scripts[][2] = {{0x3005, 0x3007}, {0x3041, 0x3096}, {0x30a1, 0x30fa}, {0x30fc, 0x30ff},
                                               {0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xf900, 0xfaff}, {0x20000, 0x3ffff}};
    wchar_t character;
    if (mbtowc(&character, word, MB_CUR_MAX) < 1) return 0;
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        if ((unsigned long)character >= scripts[i][0] && (unsigned long)character <= scripts[i][1]) return 1;
    return 0;
}

/* `printed` is what was printed last, and so is the result. */
static const char *print_sentence(char **words, const int64_t *tokens, int64_t length, const char *printed) {
    const char *before = "";
    int unspaced = 0;
    for (int64_t i = 0; i < length; i++) unspaced |= is_unspaced(words[tokens[i]]);
    for (int64_t i = 0; i < length; i++) {
        const char *word = words[tokens[i]];
        if (is_mark(word) && *printed) {
            printed = !unspaced ? word : !strcmp(word, ".") ? "。" : !strcmp(word, ",") ? "，" : word;
            fputs(printed, stdout);
            continue;
        }
        if (*printed && !is_unspaced(word) && !is_unspaced(before) && strcmp(printed, "。")) putchar(' ');
        wchar_t first;
        int bytes = i ? 0 : mbtowc(&first, word, MB_CUR_MAX);
        if (bytes > 0) {
            const wint_t capital = towupper((wint_t)first);
            printf("%lc", towlower(capital) == (wint_t)first ? capital : (wint_t)first);
        }
        fputs(word + (bytes > 0 ? bytes : 0), stdout);
        printed = before = word;
    }
    return printed;
}

void print_paragraph(char **words, const int64_t *tokens, int64_t length) {
    const char *printed = "";
    for (int64_t start = 0, stop = 0; start < length; start = stop) {
        while (stop < length && strcmp(words[tokens[stop++]], ".")) continue;
        printed = print_sentence(words, tokens + start, stop - start, printed);
    }
    putchar('\n');
}
