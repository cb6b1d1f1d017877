#include "model.h"

#include <string.h>

OrtStatus *read_texts(const OrtApi *ort, const OrtSession *session, OrtAllocator *allocator, char *texts[TEXTS],
                      int *is_whole) {
    static const char *const keys[TEXTS] = {NULL, "preprocessing", "settings", "vocabulary", "disclaimer"};
    OrtModelMetadata *metadata;
    OrtStatus *wrong;
    size_t inputs, outputs;
    memset(texts, 0, TEXTS * sizeof *texts);
    *is_whole = 0;
    if ((wrong = ort->SessionGetInputCount(session, &inputs)) || (wrong = ort->SessionGetOutputCount(session, &outputs)))
        return wrong;
    if (inputs && (wrong = ort->SessionGetInputName(session, 0, allocator, &texts[INPUT]))) return wrong;
    /* A part takes features, or gives them in place of words. */
    int gives_words = 0;
    for (size_t i = 0; i < outputs; i++) {
        char *name;
        if ((wrong = ort->SessionGetOutputName(session, i, allocator, &name))) return wrong;
        gives_words |= !strcmp(name, "tokens");
        if ((wrong = ort->AllocatorFree(allocator, name))) return wrong;
    }
    if ((wrong = ort->SessionGetModelMetadata(session, &metadata))) return wrong;
    for (size_t i = PREPROCESSING; i < TEXTS && !wrong; i++)
        wrong = ort->ModelMetadataLookupCustomMetadataMap(metadata, allocator, keys[i], &texts[i]);
    ort->ReleaseModelMetadata(metadata);
    *is_whole = gives_words && texts[INPUT] && (!strcmp(texts[INPUT], "film") || !strcmp(texts[INPUT], "image"));
    for (size_t i = PREPROCESSING; i < TEXTS; i++) *is_whole &= texts[i] != NULL;
    return wrong;
}
