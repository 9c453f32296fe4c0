import type { Patch, ResourceContract, Schema } from '@iopa/appbuilder/extension'
import { validate } from '@iopa/appbuilder/extension'
import { IopaError, METHODS, mediaTypeEssence } from '@iopa/constants'
import { bodyPart, type Prepare, type ReplicaFault, type RequestPart } from '../parts.ts'
import { withoutMembers } from '../representation.ts'
import { jsonPatch, operationsOf } from './json-patch.ts'
import { mergePatch } from './merge-patch.ts'

const MERGE_PATCH = 'application/merge-patch+json'
const JSON_PATCH = 'application/json-patch+json'

/** The parts of a request that are its patch: the type, before the body is read, and the body. */
export const patchParts = (contract: ResourceContract, method: string, tolerate: ReplicaFault): RequestPart[] => {
  const types = method === METHODS.PATCH ? [MERGE_PATCH, JSON_PATCH] : [MERGE_PATCH]
  const checkType: RequestPart = {
    take({ context }) {
      const type = mediaTypeEssence(context['iopa.ContentType'])
      if (type === '' || type === 'application/json' || types.includes(type)) return undefined
      throw new IopaError(415, 'unsupported-patch', `${method} takes ${types.join(' or ')}, not '${type}'.`, {
        headers: { 'accept-patch': types.join(', ') }
      })
    }
  }
  return [checkType, bodyPart(undefined, `${method} ${contract.pattern}`, patchOf(contract, method), tolerate)]
}

/** The patch of a body. iPATCH is one that may be applied twice (RFC 8132 section 2.1), which a JSON Patch may not. */
const patchOf = ({ pattern, state, computed }: ResourceContract, method: string): Prepare => {
  const names = Object.keys(computed ?? {})
  const name = `${method} ${pattern}: the state`
  return ({ context }, body) => {
    if (body === undefined) throw new IopaError(400, 'malformed-patch', 'The request has no body: send the members that change.')
    const isJsonPatch = mediaTypeEssence(context['iopa.ContentType']) === JSON_PATCH
    const change = isJsonPatch ? changeBy(operationsOf(body)) : (before: unknown) => mergePatch(before, body)
    return new StatePatch(change, state as Schema, names, name)
  }
}

const changeBy =
  (operations: ReturnType<typeof operationsOf>) =>
  (before: unknown): unknown =>
    jsonPatch(before, operations)

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
