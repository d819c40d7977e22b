/*
 * Building policy.json: from two lists and the signature requirements to the scopes of the
 * transports. "atomic" is "docker" without the scopes that lie deeper than it can name.
 */
#include "icsp/policy_priv.h"

#include <assert.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/tree.h"

const char icsp_base_policy[] =
    "{\n"
    "    \"default\": [\n"
    "        {\n"
    "            \"type\": \"insecureAcceptAnything\"\n"
    "        }\n"
    "    ],\n"
    "    \"transports\":\n"
    "        {\n"
    "            \"docker-daemon\":\n"
    "                {\n"
    "                    \"\": [{\"type\":\"insecureAcceptAnything\"}]\n"
    "                }\n"
    "        }\n"
    "}";

json_t *icsp_policy_base(void)
{
    struct mir_error err = MIR_ERROR_INIT;
    json_t *policy = NULL;
    bool ok = mir_json_parse(mir_span_of(icsp_base_policy), "base policy", &policy, &err);

    assert(ok);
    (void)ok;
    return policy;
}

/* [{"type": TYPE}] */
static json_t *simple_requirements(const char *type)
{
    json_t *requirements = json_array();
    json_t *requirement = json_object();

    json_object_set_new(requirement, "type", json_string(type));
    json_array_append_new(requirements, requirement);
    return requirements;
}

/* The scopes that signature policies name. Any value that is not NULL will do. */
static struct mir_map *signed_scopes(const struct icsp_policy_input *input)
{
    struct mir_map *scopes = mir_map_new();

    for (size_t i = 0; i < input->signature_count; i++)
        for (size_t k = 0; k < input->signatures[i].scopes->count; k++)
            mir_map_set(scopes, mir_span_of(input->signatures[i].scopes->items[k]), scopes);
    return scopes;
}

static void add_lists(json_t *policy, json_t *scopes, const struct icsp_policy_input *input)
{
    auto_map *signed_ones = signed_scopes(input);

    if (input->allowed->count > 0)
        json_object_set_new(policy, "default", simple_requirements("reject"));
    for (size_t i = 0; i < input->allowed->count; i++)
        if (!mir_map_find(signed_ones, mir_span_of(input->allowed->items[i])))
            json_object_set_new(scopes, input->allowed->items[i],
                                simple_requirements("insecureAcceptAnything"));
    if (input->blocked->count > 0)
        json_object_set_new(policy, "default", simple_requirements("insecureAcceptAnything"));
    for (size_t i = 0; i < input->blocked->count; i++)
        json_object_set_new(scopes, input->blocked->items[i], simple_requirements("reject"));
}

static void append(json_t *scopes, const char *scope, json_t *requirement)
{
    json_t *requirements = json_object_get(scopes, scope);

    if (!requirements) {
        requirements = json_array();
        json_object_set_new(scopes, scope, requirements);
    }
    json_array_append(requirements, requirement);
}

/* "atomic" names host/namespace/stream: what has three or more '/' is not for it. */
static bool is_for_atomic(const char *scope)
{
    unsigned slashes = 0;

    for (; *scope; scope++)
        slashes += *scope == '/';
    return slashes < 3;
}

static json_t *atomic_of(json_t *scopes)
{
    json_t *atomic = json_object();
    const char *scope;
    json_t *requirements;

    json_object_foreach (scopes, scope, requirements)
        if (is_for_atomic(scope))
            json_object_set(atomic, scope, requirements);
    return atomic;
}

static json_t *transports_of(json_t *policy)
{
    json_t *transports = json_object_get(policy, "transports");

    if (!transports) {
        transports = json_object();
        json_object_set_new(policy, "transports", transports);
    }
    return transports;
}

void icsp_policy_build(json_t *policy, const struct icsp_policy_input *input)
{
    auto_json *scopes = json_object();

    add_lists(policy, scopes, input);
    for (size_t i = 0; i < input->signature_count; i++)
        for (size_t k = 0; k < input->signatures[i].scopes->count; k++)
            append(scopes, input->signatures[i].scopes->items[k], input->signatures[i].requirement);
    json_object_set_new(transports_of(policy), "atomic",
                        input->generation->atomic_is_docker ? json_incref(scopes)
                                                            : atomic_of(scopes));
    json_object_set(transports_of(policy), "docker", scopes);
}

static json_t *transport(json_t *policy, const char *name)
{
    json_t *transports = transports_of(policy);
    json_t *scopes = json_object_get(transports, name);

    if (!scopes) {
        scopes = json_object();
        json_object_set_new(transports, name, scopes);
    }
    return scopes;
}

void icsp_policy_add_transports(json_t *policy)
{
    (void)transport(policy, "docker");
    (void)transport(policy, "atomic");
}

void icsp_policy_append(json_t *policy, const char *scope, json_t *requirement)
{
    append(transport(policy, "docker"), scope, requirement);
    if (is_for_atomic(scope))
        append(transport(policy, "atomic"), scope, requirement);
}
