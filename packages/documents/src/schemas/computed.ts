import type { ResourceContract, Schema } from '@iopa/appbuilder/extension'
import { declaredSubject, labelOf, type Operation } from '../model/operation.ts'
import type { Components } from './components.ts'
import type { JsonSchema } from './json-schema.ts'
import { propertiesOf } from './walk.ts'

/**
 * The representation of a contract with computed members, which only the server writes; undefined where it has none, or no JSON Schema. Members
 * without a JSON Schema are noted.
 */
export const representationOf = (
  { state, computed = {} }: ResourceContract,
  representation: Schema,
  components: Components,
  of: string
): JsonSchema | undefined => {
  if (Object.keys(computed).length === 0) return undefined
  if (state !== undefined) components.plain(state, 'output', of)
  for (const [name, schema] of Object.entries(computed)) components.plain(schema, 'output', `${of} ${name}`)
  const plain = components.plain(representation, 'output', of)
  if (plain === undefined) return undefined
  const members = Array.from(
    propertiesOf(plain),
    ([name, member]) => [name, Object.hasOwn(computed, name) ? { ...member, readOnly: true } : member] as const
  )
  return members.length === 0 ? plain : { ...plain, properties: Object.fromEntries(members) }
}

/** A reference to what an operation answers, under this name unless it is the representation. Items of a collection come first: its pages refer to them. */
export const answerReference = (operation: Operation, answer: Schema, name: string, components: Components): JsonSchema => {
  const { contract, isRepresentation, subject } = operation
  const of = labelOf(operation)
  const item = contract?.collection?.item
  const listed = item?.methods['GET']?.answer ?? item?.state
  if (item !== undefined && listed !== undefined) referTo(item, listed, declaredSubject({ attributes: { resource: item } }) ?? 'Item', components, of)
  return contract !== undefined && isRepresentation
    ? referTo(contract, answer, subject, components, of)
    : components.reference(answer, 'output', name, of)
}

const referTo = (contract: ResourceContract, representation: Schema, name: string, components: Components, of: string): JsonSchema => {
  const whole = representationOf(contract, representation, components, of)
  if (whole === undefined) return components.reference(representation, 'output', name, of)
  return components.add(whole, name, of, name, components.plain(representation, 'output', of))
}
