// Rehearses releases on a copy of the manifests.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const folders = readdirSync(join(root, 'packages'))

describe('pnpm version-packages', () => {
  let copy: string
  beforeAll(() => {
    copy = mkdtempSync(join(tmpdir(), 'iopa-release-'))
    for (const file of ['package.json', 'pnpm-workspace.yaml']) cpSync(join(root, file), join(copy, file))
    cpSync(join(root, '.changeset'), join(copy, '.changeset'), { recursive: true })
    for (const folder of folders) {
      mkdirSync(join(copy, 'packages', folder), { recursive: true })
      cpSync(join(root, 'packages', folder, 'package.json'), join(copy, 'packages', folder, 'package.json'))
    }
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
    execFileSync('git', ['init', '-q'], { cwd: copy })
  })
  afterAll(() => rmSync(copy, { recursive: true, force: true }))

  const release = (): Record<string, string> => {
    execFileSync(process.execPath, [join(root, 'scripts/version.js')], { cwd: copy, stdio: 'pipe' })
    const manifests = folders.map(folder => JSON.parse(readFileSync(join(copy, 'packages', folder, 'package.json'), 'utf8')))
    return Object.fromEntries(manifests.map(({ name, version }) => [name, version]))
  }
  const change = (name: string, kind: string): void =>
    writeFileSync(join(copy, '.changeset/rehearsed.md'), `---\n'${name}': ${kind}\n---\n\nA change.\n`)

  test('gives every package 5.0.0 and the note of the first release, with other changesets pending', () => {
    change('@iopa/router', 'minor')
    const versions = release()
    expect(new Set(Object.values(versions))).toEqual(new Set(['5.0.0']))
    for (const folder of folders) {
      expect(readFileSync(join(copy, 'packages', folder, 'CHANGELOG.md'), 'utf8')).toContain('The first release: one app for HTTP')
    }
  }, 60_000)

  test('makes a major version of packages that depend on a major version', () => {
    change('@iopa/transport', 'major')
    const { '@iopa/constants': constants, '@iopa/context': context, ...above } = release()
    expect([constants, context]).toEqual(['5.0.0', '5.0.0'])
    expect(new Set(Object.values(above))).toEqual(new Set(['6.0.0']))
  }, 60_000)

  test('releases one package with its own minor version', () => {
    change('@iopa/appbuilder', 'minor')
    const versions = release()
    expect([versions['@iopa/appbuilder'], versions['@iopa/router'], versions['@iopa/http']]).toEqual(['6.1.0', '6.0.0', '6.0.0'])
  }, 60_000)
})
