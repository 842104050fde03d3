// SPDX-License-Identifier: GPL-2.0
/*
 * Writes a jump into a function that nothing calls meanwhile: at its start or behind, in a call, in
 * an alternative, in a module, or through a second mapping of the same memory.
 */
#include "simulator.h"
#include <linux/mm.h>
#include <linux/vmalloc.h>

static char *function = "tcp4_seq_show";
module_param(function, charp, 0);
static int offset;
module_param(offset, int, 0);
static char *where = "here";
module_param(where, charp, 0);

static char *callee = "seq_pad";
module_param(callee, charp, 0);

static const u8 smap_open[] = { 0x0f, 0x01, 0xcb };
static u8 *place;
static u8 bytes[5];
static bool alias;

static void hook(void)
{
}

static void put(const u8 *what)
{
	u8 *second;
	struct page *page;

	if (!alias) {
		poke(place, what, 5);
		return;
	}
	page = virt_to_page(__va(__pa_symbol(place)));
	second = vmap(&page, 1, VM_MAP, PAGE_KERNEL);
	memcpy(second + offset_in_page(place), what, 5);
	vunmap(second);
}

static int plant(void)
{
	u8 patched[5];
	u8 *code = find(function);
	int at = offset;

	if (!code)
		return -ENOENT;
	alias = strcmp(where, "alias") == 0;
	if (strcmp(where, "call") == 0)
		for (at = 16; !branches(code + at, find(callee)); at++)
			if (at == 2048)
				return -ENOENT;
	if (strcmp(where, "alternative") == 0)
		for (at = 0; memcmp(code + at, smap_open, sizeof(smap_open)) != 0; at++)
			if (at == 1024)
				return -ENOENT;
	place = code + at;
	memcpy(bytes, place, 5);
	branch(patched, strcmp(where, "call") == 0 ? bytes[0] : 0xe9, place, hook);
	put(patched);
	return 0;
}

static void undo(void)
{
	put(bytes);
}
