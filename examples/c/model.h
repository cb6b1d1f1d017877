#ifndef MODEL_H
#define MODEL_H
#include <onnxruntime_c_api.h>

/* What is read of a model: the name of its first input, and four of its metadata. */
enum { INPUT, PREPROCESSING, OWN_SETTINGS, VOCABULARY, DISCLAIMER, TEXTS };

/* Reads them; they are to be freed by the allocator. `is_whole` is 0, and some of them may be NULL, where this is no file
 * that `cxrscribe onefile` wrote, or one of its parts. Returns NULL, or what went wrong. */
OrtStatus *read_texts(const OrtApi *ort, const OrtSession *session, OrtAllocator *allocator, char *texts[TEXTS],
                      int *is_whole);
#endif
