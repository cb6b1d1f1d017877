#ifndef WORDS_H
#define WORDS_H
#include <stdint.h>

/* Splits a JSON array of words in place: `count` pointers into `json`, to be freed. NULL where there is no memory. */
char **split_words(char *json, int64_t *count);

/* Prints words as a paragraph: sentences start with a capital, punctuation joins the word before it. Chinese and
 * Japanese have no blanks between characters, and a comma and a full stop of their own. Needs a locale of UTF-8. */
void print_paragraph(char **words, const int64_t *tokens, int64_t length);
#endif
