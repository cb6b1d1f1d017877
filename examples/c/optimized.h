#ifndef OPTIMIZED_H
#define OPTIMIZED_H
#include <onnxruntime_c_api.h>

/* Opens a model as ONNX Runtime optimized it for this machine, which is written into `folder` when it isn't there yet, or
 * can't be opened; the folder is made where there is none. That graph maps its weights into memory instead of holding two
 * or three copies, and needn't be optimized again. It is right for this file, this processor and this release of ONNX
 * Runtime alone, and its name has a number of the three. Returns NULL, or what went wrong. */
OrtStatus *open_optimized(const OrtApi *ort, const OrtEnv *env, const OrtSessionOptions *options, const char *model,
                          const char *folder, OrtSession **session);
#endif
