// docs/spec/errors.md, the type IopaErrorCode and the sources name the same codes.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { raisedCodes } from './error-codes.ts'

const root = join(import.meta.dirname, '..')

const documented = [...readFileSync(join(root, 'docs/spec/errors.md'), 'utf8').matchAll(/^\| `([^`]+)` \| ([^|]+) \| (.+) \|$/gm)].map(
  ([, code = '', status = '', meaning = '']) => ({ code, statuses: status.split(', ').map(Number), meaning })
)
const codesIn = (file: string): string[] =>
  [...readFileSync(join(root, 'packages/constants/src', file), 'utf8').matchAll(/\| '([^']+)'/g)].map(match => match[1]!)
const ofApps = codesIn('app-error-codes.ts')
const others = codesIn('error-codes.ts')

// What the contract suite raises on purpose is an example.
const raised = raisedCodes().filter(({ file }) => !file.startsWith('testing/src/contract/'))

describe('error codes', () => {
  test('in the documentation are those in the sources', () => {
    expect(documented.map(({ code }) => code).sort()).toEqual([...new Set(raised.map(({ code }) => code))].sort())
  })

  test('have one row with a meaning', () => {
    expect(new Set(documented.map(({ code }) => code)).size).toBe(documented.length)
    for (const { meaning } of documented) expect(meaning).toMatch(/^[A-Z`].*\.$/)
  })

  test('are those of the type IopaErrorCode', () => {
    const codesOf = (isOfApp: boolean): string[] =>
      documented.flatMap(({ code, statuses }) => ((statuses.join() === '500') === isOfApp ? [code] : [])).sort()
    expect([ofApps, others]).toEqual([codesOf(true), codesOf(false)])
  })

  test('have the status of the sources', () => {
    const statuses = new Map(documented.map(({ code, statuses }) => [code, statuses]))
    for (const { code, status, file } of raised) {
      if (status !== null && code !== 'refused' && statuses.has(code))
        expect({ code, file, listed: statuses.get(code)?.includes(status) }).toEqual({ code, file, listed: true })
    }
  })

  test('have one status each', () => {
    const several = documented.filter(({ statuses }) => statuses.length > 1).map(({ code }) => code)
    expect(several.filter(code => code !== 'refused')).toEqual([])
  })
})
