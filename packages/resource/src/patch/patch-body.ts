import type { Patch, ResourceContract, Schema } from '@iopa/appbuilder/extension'
import { validate } from '@iopa/appbuilder/extension'
import { IopaError, METHODS, mediaTypeEssence } from '@iopa/constants'
import type { Prepare } from '../parts.ts'
import { withoutMembers } from '../representation.ts'
import { jsonPatch, operationsOf } from './json-patch.ts'
import { mergePatch } from './merge-patch.ts'

const MERGE_PATCH = 'application/merge-patch+json'
const JSON_PATCH = 'application/json-patch+json'

/** Takes the patch from the body of PATCH, or of iPATCH, whose patches may be applied twice (RFC 8132 section 2.1): a JSON Patch may not. */
export const patchOf = ({ pattern, state, computed }: ResourceContract, method: string): Prepare => {
  const names = Object.keys(computed ?? {})
  const types = method === METHODS.PATCH ? [MERGE_PATCH, JSON_PATCH] : [MERGE_PATCH]
  const name = `${method} ${pattern}: the state`
  return ({ context }, body) => {
    const type = mediaTypeEssence(context['iopa.ContentType'])
    const isJsonPatch = type === JSON_PATCH && types.includes(type)
    if (!isJsonPatch && type !== '' && type !== MERGE_PATCH && type !== 'application/json') throw unsupported(method, type, types)
    if (body === undefined) throw new IopaError(400, 'malformed-patch', 'The request has no body: send the members that change.')
    const change = isJsonPatch ? changeBy(operationsOf(body)) : (before: unknown) => mergePatch(before, body)
    return new StatePatch(change, state as Schema, names, name)
  }
}

const changeBy =
  (operations: ReturnType<typeof operationsOf>) =>
  (before: unknown): unknown =>
    jsonPatch(before, operations)

const unsupported = (method: string, type: string, types: readonly string[]): IopaError =>
  new IopaError(415, 'unsupported-patch', `${method} takes ${types.join(' or ')}, not '${type}'.`, { headers: { 'accept-patch': types.join(', ') } })

/** A patch of a state, to be applied by a handler. */
class StatePatch implements Patch<unknown> {
  readonly #change: (before: unknown) => unknown
  readonly #schema: Schema
  readonly #computed: readonly string[]
  readonly #name: string

  constructor(change: (before: unknown) => unknown, schema: Schema, computed: readonly string[], name: string) {
    this.#change = change
    this.#schema = schema
    this.#computed = computed
    this.#name = name
  }

  apply(state: unknown): unknown {
    const after = this.#change(withoutMembers(state, this.#computed))
    return validate(this.#schema, withoutMembers(after, this.#computed), undefined, this.#name)
  }
}
