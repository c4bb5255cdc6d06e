#include "bench/local.h"

int local_init(struct local *l, struct vn_store *store, const uint32_t *levels, uint32_t n_levels)
{
    int r = vn_session_new(store, NULL, &l->session);

    if (r)
        return r;
    l->store = vn_store_ref(store);
    talk_pixels(l->pixels);
    l->image = (struct vn_image){.pixels = l->pixels,
                                 .length = sizeof l->pixels,
                                 .width = TALK_SIDE,
                                 .height = TALK_SIDE,
                                 .format = VN_PIXELS_RGB8};
    for (uint32_t i = 0; i < n_levels; i++)
        l->levels[i] = (uint8_t)levels[i];
    l->request = (struct vn_infer_request){
        .image = &l->image, .levels = l->levels, .n_levels = n_levels, .agent = VN_AGENT_UNIFORM};
    return local_run(l);
}

void local_deinit(struct local *l)
{
    vn_session_free(l->session);
    vn_store_unref(l->store);
}

int local_run(struct local *l)
{
    return vn_infer(l->session, &l->request, NULL, &l->result);
}
