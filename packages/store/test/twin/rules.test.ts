import { describe, expect, test } from 'vitest'
import { changedParts, emptyTwin, type TwinDocument, withDesired, withReported } from '../../src/twin/document.ts'
import { type Members, mergeMembers } from '../../src/twin/members.ts'
import vectors from './vectors.json' with { type: 'json' }

const after = (twin: TwinDocument, step: Readonly<Record<string, unknown>>): TwinDocument => {
  const body = (name: string): Members | undefined => step[name] as Members | undefined
  const patchDesired = body('patch desired')
  if (patchDesired !== undefined) return withDesired(twin, mergeMembers(twin.desired, patchDesired), patchDesired)
  const putDesired = body('put desired')
  if (putDesired !== undefined) return withDesired(twin, putDesired)
  const patchReported = body('patch reported')
  const seen = step['seen'] as number | undefined
  if (patchReported !== undefined) return withReported(twin, mergeMembers(twin.reported, patchReported), patchReported, seen)
  const putReported = body('put reported') as Members
  return withReported(twin, putReported, putReported, seen)
}

describe('the rules of a twin', () => {
  test.each(vectors)('$name', ({ steps }) => {
    let twin = emptyTwin()
    for (const step of steps as readonly Readonly<Record<string, unknown>>[]) {
      const before = twin
      twin = after(twin, step)
      const { changed, ...expected } = step
      const outcome = Object.fromEntries(Object.keys(expected).map(name => [name, name in twin ? twin[name as keyof TwinDocument] : expected[name]]))
      expect({ step, ...outcome }).toEqual({ step, ...expected })
      if (changed !== undefined) expect({ step, changed: changedParts(before, twin) }).toEqual({ step, changed })
    }
  })

  test('keeps a member that is called __proto__ as a member', () => {
    const patch = JSON.parse('{"__proto__":{"on":true}}') as Members
    const twin = withDesired(emptyTwin(), mergeMembers({}, patch), patch)
    expect(JSON.stringify(twin.delta)).toBe('{"__proto__":{"on":true}}')
    expect(({} as Record<string, unknown>)['on']).toBeUndefined()
  })
})
