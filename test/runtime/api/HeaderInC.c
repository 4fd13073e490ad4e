/*===- HeaderInC.c - The header is C11 ---------------------------*- C -*-===*\
|*
|* SPDX-License-Identifier: Apache-2.0
|*
\*===----------------------------------------------------------------------===*/

#include <dsv2/dsv2.h>

/* Loads what is at `path` and answers the code of the first failure. */
int loadInC(const char *path) {
  dsv2_instance_options_t options = DSV2_INSTANCE_OPTIONS_INIT;
  dsv2_model_info_t info = DSV2_MODEL_INFO_INIT;
  dsv2_instance_t *instance = NULL;
  dsv2_model_t *model = NULL;
  dsv2_status_t status;
  int code;

  options.threads = 1;
  status = dsv2_instance_create(&options, &instance);
  if (!status)
    status = dsv2_model_load(instance, path, NULL, &model);
  if (!status)
    status = dsv2_model_info(model, &info);
  code = (int)dsv2_status_code(status);
  dsv2_status_release(status);
  dsv2_model_release(model);
  dsv2_instance_release(instance);
  return code;
}
