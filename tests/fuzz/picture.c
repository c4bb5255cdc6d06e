/* Bytes as an image file: PNG, JPEG, PNM. */
#include "tests/fuzz/fuzz.h"
#include "train/image_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vn_image_buffer b = {0};
    struct vn_why why = {""};
    char path[FUZZ_PATH];
    int fd = fuzz_file(data, size, path);

    if (vn_image_file_read(path, &why, &b)) {
        must(why.text[0]);
        must(!b.pixels);
    } else {
        const struct vn_image view = vn_image_buffer_view(&b);

        must(!vn_image_check(&view, NULL));
        must(b.pixels[0] <= 255 && b.pixels[b.length - 1] <= 255); /* they are there */
    }
    vn_image_buffer_deinit(&b);
    close(fd);
    return 0;
}
