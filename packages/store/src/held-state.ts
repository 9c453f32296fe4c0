import { IopaError } from '@iopa/appbuilder'

const DEEPEST = 1000

/** Counted while a state is copied, which nothing interrupts. */
let size = 0

/** About the bytes of the JSON of the state that was copied last. */
export const heldSize = (): number => size

/** Whether all of it is a JSON value. */
let isJson = true

/** True where the state that was copied last is a JSON value, so that its JSON gives it back. */
export const heldIsJson = (): boolean => isJson

/** A frozen copy of plain data; other objects, such as dates, are kept as they are. @throws IopaError 422 for data that is nested in itself. */
export const heldState = (state: unknown): unknown => {
  size = 0
  isJson = true
  return copied(state, 0)
}

const copied = (value: unknown, depth: number): unknown => {
  if (typeof value === 'string') {
    size += value.length + 2
    return value
  }
  if (typeof value !== 'object' || value === null) {
    size += typeof value === 'number' ? 8 : 5
    if (typeof value === 'number' ? !Number.isFinite(value) : value !== null && typeof value !== 'boolean') isJson = false
    return value
  }
  if (depth > DEEPEST) throw new IopaError(422, 'invalid-input', 'The state is nested too deep, or holds itself.')
  if (Array.isArray(value)) return copiedArray(value, depth)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return copiedObject(value as Record<string, unknown>, depth)
  size += 32
  isJson = false
  return value
}

const copiedArray = (value: readonly unknown[], depth: number): readonly unknown[] => {
  size += 2 + value.length
  const items: unknown[] = new Array(value.length)
  for (let at = 0; at < value.length; at++) items[at] = copied(value[at], depth + 1)
  return Object.freeze(items)
}

const copiedObject = (value: Readonly<Record<string, unknown>>, depth: number): object => {
  const members: Record<string, unknown> = {}
  size += 2
  for (const name of Object.keys(value)) {
    const member = value[name]
    if (member === undefined) continue
    size += name.length + 4
    const copy = copied(member, depth + 1)
    // As a member, not as the prototype.
    if (name === '__proto__') Object.defineProperty(members, name, { value: copy, enumerable: true })
    else members[name] = copy
  }
  return Object.freeze(members)
}
