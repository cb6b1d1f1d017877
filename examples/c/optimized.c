#define _POSIX_C_SOURCE 200809L
#include "optimized.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LONGEST 4096
#define SMALLEST_WEIGHT "1024" /* bytes: smaller ones stay in the graph */

/* FNV-1a */
static uint64_t add(uint64_t hash, const void *bytes, size_t count) {
    for (const unsigned char *byte = bytes; count--; byte++) hash = (hash ^ *byte) * UINT64_C(1099511628211);
    return hash;
}

/* What Linux says of the first processor: its name and instruction sets, not its speed of the moment. */
static uint64_t add_processor(uint64_t hash) {
    char line[LONGEST];
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file) && *line != '\n')
        if (!strncmp(line, "model name", 10) || !strncmp(line, "flags", 5) || !strncmp(line, "Features", 8) ||
            !strncmp(line, "CPU ", 4))
            hash = add(hash, line, strlen(line));
    if (file) fclose(file);
    return hash;
}

OrtStatus *open_optimized(const OrtApi *ort, const OrtEnv *env, const OrtSessionOptions *options, const char *model,
                          const char *folder, OrtSession **session) {
    struct stat status;
    if (stat(model, &status)) return ort->CreateStatus(ORT_NO_SUCHFILE, "the model can't be read: check its path");
    int64_t kind[] = {(int64_t)status.st_size, (int64_t)status.st_mtim.tv_sec, (int64_t)status.st_mtim.tv_nsec};
    const char *release = OrtGetApiBase()->GetVersionString();
    uint64_t hash = add(UINT64_C(14695981039346656037), kind, sizeof kind);
    hash = add_processor(add(hash, release, strlen(release)));

    char graph[LONGEST], unfinished[LONGEST], weights[64];
    int length = snprintf(graph, sizeof graph, "%s/%016" PRIx64 ".onnx", folder, hash);
    int longer = snprintf(unfinished, sizeof unfinished, "%s/%016" PRIx64 ".%ld.part", folder, hash, (long)getpid());
    snprintf(weights, sizeof weights, "%016" PRIx64 ".%ld.weights", hash, (long)getpid());
    if (length >= LONGEST || longer >= LONGEST) return ort->CreateStatus(ORT_INVALID_ARGUMENT, "the path is too long");

    OrtSessionOptions *own;
    OrtStatus *wrong = ort->CloneSessionOptions(options, &own);
    if (wrong) return wrong;
    if (access(graph, R_OK)) {
        (void)((wrong = ort->SetOptimizedModelFilePath(own, unfinished)) ||
               (wrong = ort->AddSessionConfigEntry(
                    own, "session.optimized_model_external_initializers_file_name", weights)) ||
               (wrong = ort->AddSessionConfigEntry(
                    own, "session.optimized_model_external_initializers_min_size_in_bytes", SMALLEST_WEIGHT)) ||
               /* This session runs nothing: to rearrange its weights would only take time and memory. */
               (wrong = ort->AddSessionConfigEntry(own, "session.disable_prepacking", "1")) ||
               (wrong = ort->CreateSession(env, model, own, session)));
        ort->ReleaseSessionOptions(own);
        if (wrong) return wrong;
        ort->ReleaseSession(*session);
        if (rename(unfinished, graph)) return ort->CreateStatus(ORT_FAIL, "the optimized graph can't be written");
        if ((wrong = ort->CloneSessionOptions(options, &own))) return wrong;
    }
    if (!(wrong = ort->SetSessionGraphOptimizationLevel(own, ORT_DISABLE_ALL)))
        wrong = ort->CreateSession(env, graph, own, session);
    ort->ReleaseSessionOptions(own);
    return wrong;
}
