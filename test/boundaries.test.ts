import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { join, posix } from 'node:path'
import { describe, expect, test } from 'vitest'
import { circlesOf } from './import-circles.ts'

const packages = new URL('../packages/', import.meta.url).pathname
const CORE = ['@iopa/constants', '@iopa/context', '@iopa/transport', '@iopa/appbuilder']
const ALLOWED: Record<string, readonly string[]> = {
  constants: [],
  context: ['@iopa/constants'],
  transport: ['@iopa/constants', '@iopa/context', '@iopa/context/host'],
  appbuilder: ['@iopa/constants', '@iopa/context', '@iopa/context/host', '@iopa/transport', '@iopa/transport/host']
}

interface Manifest {
  readonly name: string
  readonly version: string
  readonly dependencies?: Record<string, string>
  readonly peerDependencies?: Record<string, string>
  readonly peerDependenciesMeta?: Record<string, { readonly optional?: boolean }>
  readonly devDependencies?: Record<string, string>
}

const folders = readdirSync(packages)
const manifestOf = (folder: string): Manifest => JSON.parse(readFileSync(join(packages, folder, 'package.json'), 'utf8')) as Manifest

const sourcesOf = (folder: string): { file: string; text: string }[] =>
  readdirSync(join(packages, folder, 'src'), { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.ts'))
    .map(file => ({ file: `${folder}/src/${file}`, text: readFileSync(join(packages, folder, 'src', file), 'utf8') }))

const importsOf = (text: string): string[] =>
  [
    ...text.matchAll(
      /^\s*(?:import|export)\b[^'"]*?from\s+'([^']+)'|^\s*import\s+'([^']+)'|\bimport\(\s*'([^']+)'\s*\)|\brequire\(\s*'([^']+)'\s*\)/gm
    )
  ].map(match => (match[1] ?? match[2] ?? match[3] ?? match[4]) as string)

describe.each(folders)('package %s', folder => {
  const manifest = manifestOf(folder)
  const outside = sourcesOf(folder).flatMap(({ file, text }) =>
    importsOf(text)
      .filter(name => !name.startsWith('.'))
      .map(name => ({ file, name }))
  )

  test('imports the core and its own libraries, never a sibling', () => {
    const siblings = outside.filter(({ name }) => name.startsWith('@iopa/') && !CORE.includes(name.split('/').slice(0, 2).join('/')))
    expect(siblings).toEqual([])
    const allowed = ALLOWED[folder]
    if (allowed === undefined) return
    // `@iopa/transport/node` is the one door of the core to Node.
    const inCore = outside.filter(({ file }) => !/^transport\/src\/node[./]/.test(file))
    expect(inCore.filter(({ name }) => !allowed.includes(name))).toEqual([])
  })

  test('depends only on the contract of transports, if it is a transport', () => {
    if (!folder.startsWith('iopa-')) return
    expect(outside.filter(({ file, name }) => name.startsWith('@iopa/appbuilder') && !/^iopa-http\/src\/(?:fetch|node)\.ts$/.test(file))).toEqual([])
  })

  test('declares its imports, and has the core as ordinary dependency', () => {
    const declared = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })
    const used = new Set(
      outside
        .map(({ name }) => name)
        .filter(name => !name.startsWith('node:'))
        .map(name =>
          name
            .split('/')
            .slice(0, name.startsWith('@') ? 2 : 1)
            .join('/')
        )
    )
    expect([...used].filter(name => !declared.includes(name))).toEqual([])
    for (const [name, range] of Object.entries(manifest.dependencies ?? {})) if (name.startsWith('@iopa/')) expect(range).toBe('workspace:^')
    expect(manifest.devDependencies).toBeUndefined()
    expect(manifest.version.split('.')[0]).toBe('5')
  })

  test('uses version ranges for libraries, and only optional peers', () => {
    for (const [name, range] of Object.entries({ ...manifest.dependencies, ...manifest.peerDependencies }))
      if (!name.startsWith('@iopa/')) expect(range, name).toMatch(/^\^/)
    const optional = Object.keys(manifest.peerDependencies ?? {}).map(name => [name, { optional: true }])
    expect(manifest.peerDependenciesMeta ?? {}).toEqual(Object.fromEntries(optional))
  })

  test('has no circle of imports over more than two files', () => {
    const imports = new Map(
      sourcesOf(folder).map(({ file, text }) => [
        file.slice(`${folder}/src/`.length),
        importsOf(text)
          .filter(name => name.startsWith('.'))
          .map(name => posix.join(posix.dirname(file.slice(`${folder}/src/`.length)), name))
      ])
    )
    const circles = circlesOf(imports).sort((one, other) => other.length - one.length)
    expect(circles[0]?.length ?? 0, circles[0]?.join(' ')).toBeLessThanOrEqual(2)
  })

  test('imports built-ins with node:', () => {
    expect(outside.filter(({ name }) => builtinModules.includes(name.split('/')[0] as string))).toEqual([])
  })

  test('has no default export, no export *, and no type suppressions', () => {
    for (const { file, text } of sourcesOf(folder)) {
      expect(text, file).not.toMatch(/^export default|^export \*/m)
      expect(text, file).not.toMatch(/@ts-ignore|@ts-nocheck|biome-ignore/)
    }
  })

  test('has a licence, and a README that names it', () => {
    expect(readFileSync(join(packages, folder, 'LICENSE'), 'utf8')).toContain('Apache License')
    expect(readFileSync(join(packages, folder, 'README.md'), 'utf8')).toContain(manifest.name)
  })
})

test('packages do not import one another in a circle', () => {
  const names = new Map(folders.map(folder => [manifestOf(folder).name, Object.keys(manifestOf(folder).dependencies ?? {})]))
  expect(circlesOf(names)).toEqual([])
})

describe('circlesOf', () => {
  test('finds the strongly connected parts of a graph', () => {
    const graph = { a: ['b'], b: ['c', 'd'], c: ['a'], d: ['e'], e: ['d', 'elsewhere'], f: ['a', 'f'] }
    expect(circlesOf(new Map(Object.entries(graph)))).toEqual([
      ['d', 'e'],
      ['a', 'b', 'c']
    ])
  })
})
