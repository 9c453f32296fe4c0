import { IopaError } from '@iopa/appbuilder'

/** A state that nothing can change any more, and about how large it is. */
export interface HeldState {
  readonly value: unknown
  readonly size: number
}

const DEEPEST = 1000

/** A frozen copy of plain data; other objects, such as dates, are kept as they are. @throws IopaError 422 for data that is nested in itself. */
export const heldState = (state: unknown): HeldState => {
  let size = 0
  const copy = (value: unknown, depth: number): unknown => {
    if (typeof value === 'string') {
      size += value.length + 2
      return value
    }
    if (typeof value !== 'object' || value === null) {
      size += typeof value === 'number' ? 8 : 5
      return value
    }
    if (depth > DEEPEST) throw new IopaError(422, 'invalid-input', 'The state is nested too deep, or holds itself.')
    if (Array.isArray(value)) {
      size += 2 + value.length
      const items: unknown[] = new Array(value.length)
      for (let at = 0; at < value.length; at++) items[at] = copy(value[at], depth + 1)
      return Object.freeze(items)
    }
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) {
      size += 32
      return value
    }
    const members: Record<string, unknown> = {}
    size += 2
    for (const name of Object.keys(value)) {
      const member = (value as Record<string, unknown>)[name]
      if (member === undefined) continue
      size += name.length + 4
      if (name === '__proto__') define(members, name, copy(member, depth + 1))
      else members[name] = copy(member, depth + 1)
    }
    return Object.freeze(members)
  }
  return { value: copy(state, 0), size }
}

const define = (object: object, name: string, value: unknown): void => {
  Object.defineProperty(object, name, { value, enumerable: true })
}
