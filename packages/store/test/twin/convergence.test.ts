import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { emptyTwin, type TwinDocument, withDesired, withReported } from '../../src/twin/document.ts'
import { isMembers, type Members, mergeMembers, sameValue } from '../../src/twin/members.ts'

/** A report on its way. */
interface Report {
  readonly body: Members
  readonly whole: boolean
  readonly seen: number | undefined
}

/** A delta on its way. */
interface Delta {
  readonly body: Members
  readonly version: number
}

/** A device that does what a delta says, and then says so. */
class Device {
  state: Members = {}
  seen = 0
  /** Everything that it ever was. */
  readonly said: Members[] = [{}]

  read({ body, version }: Delta): Report | undefined {
    // A delta that comes late is older than what has been done; the newest is done again, for a local change may have come between.
    if (version < this.seen) return undefined
    this.seen = version
    this.#become(mergeMembers(this.state, body))
    return { body, whole: false, seen: this.seen }
  }

  local(change: Members, withSeen: boolean): Report {
    this.#become(mergeMembers(this.state, change))
    return { body: change, whole: false, seen: withSeen ? this.seen : undefined }
  }

  whole(): Report {
    return { body: this.state, whole: true, seen: undefined }
  }

  #become(state: Members): void {
    this.state = state
    this.said.push(state)
  }
}

const value = fc.oneof(fc.integer({ min: 0, max: 2 }), fc.constant(null), fc.constantFrom([1], [1, 2]))
const patch = fc.dictionary(
  fc.constantFrom('a', 'b'),
  fc.oneof({ weight: 3, arbitrary: value }, { weight: 1, arbitrary: fc.dictionary(fc.constantFrom('x', 'y'), value, { maxKeys: 2 }) }),
  { maxKeys: 2 }
) as fc.Arbitrary<Members>
const fate = fc.constantFrom('arrive', 'arrive', 'lose', 'double')
const event = fc.oneof(
  fc.record({ kind: fc.constant('wish' as const), patch, whole: fc.boolean(), seen: fc.boolean(), pick: fc.nat(9), fate }),
  fc.record({ kind: fc.constant('local' as const), patch, whole: fc.boolean(), seen: fc.boolean(), pick: fc.nat(9), fate }),
  fc.record({ kind: fc.constant('delta' as const), patch, whole: fc.boolean(), seen: fc.boolean(), pick: fc.nat(9), fate }),
  fc.record({ kind: fc.constant('report' as const), patch, whole: fc.boolean(), seen: fc.boolean(), pick: fc.nat(9), fate })
)
type Event = typeof event extends fc.Arbitrary<infer E> ? E : never

/** The scalars and arrays of an object, by their paths. */
const leavesOf = (members: Members, at = ''): Map<string, unknown> => {
  const leaves = new Map<string, unknown>()
  for (const [name, value] of Object.entries(members)) {
    if (isMembers(value)) for (const [path, leaf] of leavesOf(value, `${at}/${name}`)) leaves.set(path, leaf)
    else leaves.set(`${at}/${name}`, value)
  }
  return leaves
}

const reportedTo = (twin: TwinDocument, { body, whole, seen }: Report): TwinDocument =>
  withReported(twin, whole ? body : mergeMembers(twin.reported, body), body, seen)

const run = (events: readonly Event[]): void => {
  const device = new Device()
  let twin = emptyTwin()
  const reports: Report[] = []
  const deltas: Delta[] = []
  /** Wishes by path: the version that set each of them. */
  const wished = new Map<string, { readonly value: unknown; readonly version: number }>()
  const arrive = (report: Report): void => {
    const before = twin
    twin = reportedTo(twin, report)
    // A wish that has gone was seen, was named, and the device had another value.
    const left = leavesOf(twin.desired)
    for (const [path, wish] of wished) {
      if (left.has(path)) continue
      expect(report.seen ?? 0).toBeGreaterThanOrEqual(wish.version)
      expect(sameValue(leavesOf(twin.reported).get(path), wish.value)).toBe(false)
      wished.delete(path)
    }
    expect(twin.version).toBeGreaterThanOrEqual(before.version)
  }
  const act = ({ kind, patch, whole, seen, pick, fate }: Event): void => {
    if (kind === 'wish') {
      const before = twin
      twin = whole ? withDesired(twin, patch) : withDesired(twin, mergeMembers(twin.desired, patch), patch)
      const left = leavesOf(twin.desired)
      for (const path of wished.keys()) if (!left.has(path)) wished.delete(path)
      const named = leavesOf(patch)
      for (const [path, value] of left) {
        if (named.has(path)) wished.set(path, { value, version: twin.version })
        else expect(sameValue(leavesOf(before.desired).get(path), value)).toBe(true)
      }
      deltas.push({ body: twin.delta, version: twin.deltaVersion })
      return
    }
    if (kind === 'local') {
      reports.push(device.local(patch, seen))
      if (whole) reports.push(device.whole())
      return
    }
    const queue: unknown[] = kind === 'delta' ? deltas : reports
    const at = queue.length === 0 ? -1 : pick % queue.length
    if (at < 0) return
    const message = queue[at]
    if (fate !== 'double') queue.splice(at, 1)
    if (fate === 'lose') return
    if (kind === 'delta') {
      const report = device.read(message as Delta)
      if (report !== undefined) reports.push(report)
    } else arrive(message as Report)
  }
  for (const one of events) {
    act(one)
    expect([...leavesOf(twin.desired).keys()].sort()).toEqual([...wished.keys()].sort())
    expect(sameValue(mergeMembers(twin.reported, twin.delta), mergeMembers(twin.reported, twin.desired))).toBe(true)
  }
  // What is reported was said, leaf by leaf.
  for (const [path, value] of leavesOf(twin.reported)) expect(device.said.some(state => sameValue(leavesOf(state).get(path), value))).toBe(true)
  // The network is whole again: the device says what it is, reads the delta and does it.
  const wishes = leavesOf(twin.desired)
  arrive(device.whole())
  for (let round = 0; round < 3; round++) {
    const report = device.read({ body: twin.delta, version: twin.deltaVersion })
    if (report !== undefined) arrive(report)
  }
  expect(twin.delta).toEqual({})
  expect(sameValue(twin.reported, device.state)).toBe(true)
  for (const [path, value] of wishes) expect(sameValue(leavesOf(device.state).get(path), value)).toBe(true)
}

describe('a twin over a network that loses, doubles and reorders', () => {
  test('converges, loses no wish and invents no reported value', () => {
    fc.assert(fc.property(fc.array(event, { maxLength: 24 }), run), { numRuns: Number(process.env['TWIN_RUNS'] ?? 300) })
  })
})
