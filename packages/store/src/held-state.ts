import { IopaError } from '@iopa/appbuilder'

const DEEPEST = 1000

/** A frozen copy of plain data; other objects, such as dates, are kept as they are. */
export class HeldState {
  readonly state: unknown
  /** About the bytes of its JSON. */
  size = 0
  /** False where its JSON does not give it back. */
  isJson = true

  /** @throws IopaError 422 for data that is nested in itself. */
  constructor(state: unknown) {
    this.state = this.#copied(state, 0)
  }

  #copied(value: unknown, depth: number): unknown {
    if (typeof value === 'string') {
      this.size += value.length + 2
      return value
    }
    if (typeof value !== 'object' || value === null) {
      this.size += typeof value === 'number' ? 8 : 5
      if (typeof value === 'number' ? !Number.isFinite(value) : value !== null && typeof value !== 'boolean') this.isJson = false
      return value
    }
    if (depth > DEEPEST) throw new IopaError(422, 'invalid-input', 'The state is nested too deep, or holds itself.')
    if (Array.isArray(value)) return this.#copiedArray(value, depth)
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === Object.prototype || prototype === null) return this.#copiedObject(value as Record<string, unknown>, depth)
    this.size += 32
    this.isJson = false
    return value
  }

  #copiedArray(value: readonly unknown[], depth: number): readonly unknown[] {
    this.size += 2 + value.length
    const items: unknown[] = new Array(value.length)
    for (let at = 0; at < value.length; at++) items[at] = this.#copied(value[at], depth + 1)
    return Object.freeze(items)
  }

  #copiedObject(value: Readonly<Record<string, unknown>>, depth: number): object {
    const members: Record<string, unknown> = {}
    this.size += 2
    for (const name of Object.keys(value)) {
      const member = value[name]
      if (member === undefined) continue
      this.size += name.length + 4
      const copy = this.#copied(member, depth + 1)
      // As a member, not as the prototype.
      if (name === '__proto__') Object.defineProperty(members, name, { value: copy, enumerable: true })
      else members[name] = copy
    }
    return Object.freeze(members)
  }
}
