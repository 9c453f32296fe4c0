// docs/features.md claims nothing for IOPA without a test that runs.
import { existsSync, readFileSync } from 'node:fs'
import { posix, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const text = readFileSync(resolve(root, 'docs/features.md'), 'utf8')

const cellsOf = (line: string): string[] =>
  line
    .slice(1, -1)
    .split('|')
    .map(cell => cell.trim())
const lines = text.split('\n').filter(line => line.startsWith('|'))
const features = lines.map(cellsOf).filter(([name]) => name !== '' && name !== '---')
const links = [...text.matchAll(/\]\(([^)#]+)/g)].map(match => posix.join('docs', match[1] as string))

const PARTS: Readonly<Record<string, string>> = { '**/': '(?:.+/)?', '*': '[^/]*', '.': '\\.' }
const globs = readFileSync(resolve(root, 'vitest.config.ts'), 'utf8').match(/^ +include: \[(.*)\],$/m)?.[1] ?? ''
const included = [...globs.matchAll(/'(.*?)'/g)].map(
  ([, glob]) => new RegExp(`^${(glob as string).replaceAll(/\*\*\/|\*|\./g, part => PARTS[part] as string)}$`)
)
const isTest = (path: string): boolean => included.some(pattern => pattern.test(path))

describe('docs/features.md', () => {
  test('has rows, each with a feature and six cells', () => {
    expect(features.length).toBeGreaterThan(40)
    expect(lines.filter(line => cellsOf(line).length !== 7)).toEqual([])
  })

  test('names each feature once', () => {
    const names = features.map(([name]) => name)
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([])
  })

  test('says no for IOPA, or yes with a link', () => {
    expect(features.filter(([, own]) => !/^(?:no|\[yes\]\([^)]+\))$/.test(own as string))).toEqual([])
  })

  test('says yes, no or the name of a package for the others', () => {
    const cell = /^(?:yes|no|no \([^)]+\)|`[@\w./-]+`)$/
    expect(features.filter(([, , ...others]) => !others.every(other => cell.test(other)))).toEqual([])
  })

  test('links tests that exist and are run', () => {
    expect(links.filter(path => !isTest(path) || !existsSync(resolve(root, path)))).toEqual([])
  })

  test('is checked by the globs of vitest', () => {
    expect(['packages/a/test/b/c.test.ts', 'test/a.test.ts', 'packages/a/test/c.check.ts', 'a/test/b.test.ts'].map(isTest)).toEqual([
      true,
      true,
      false,
      false
    ])
  })
})
