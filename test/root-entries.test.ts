// The root entry of each package works with what the package declares as dependencies, without its optional peers, in the bundlers that apps use.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'
import { rollup } from 'rollup'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import webpack from 'webpack'

const root = realpathSync(new URL('..', import.meta.url).pathname)

interface Manifest {
  readonly name: string
  readonly dependencies?: Record<string, string>
  readonly exports: Record<string, { readonly types?: string } | string>
}

const manifests = readdirSync(join(root, 'packages')).map(folder => ({
  folder,
  manifest: JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8')) as Manifest
}))
const NAMES = manifests.map(({ manifest }) => manifest.name)
/** A program of all root entries. */
const ALL = NAMES.map((name, at) => `export * as entry${at} from '${name}'`).join('\n')
const built = manifests.every(({ folder }) => existsSync(join(root, 'packages', folder, 'dist/index.js')))

/** Installs all packages into a folder as npm does, with their dependencies and without their peers. */
const install = (place: string): void => {
  for (const { folder, manifest } of manifests) {
    const home = join(place, 'node_modules', manifest.name)
    mkdirSync(home, { recursive: true })
    for (const part of ['package.json', 'dist']) cpSync(join(root, 'packages', folder, part), join(home, part), { recursive: true })
    for (const name of Object.keys(manifest.dependencies ?? {})) {
      const link = join(place, 'node_modules', name)
      if (name.startsWith('@iopa/') || existsSync(link)) continue
      mkdirSync(dirname(link), { recursive: true })
      symlinkSync(realpathSync(join(root, 'packages', folder, 'node_modules', name)), link)
    }
  }
}

/** What packages for Node alone take and give: keys and certificates, streams of files, requests of Express. */
const NODE_TYPES: Readonly<Record<string, readonly string[]>> = {
  '@iopa/auth': ['node:crypto', 'node:tls'],
  '@iopa/connect': ['node:http'],
  '@iopa/forms': ['node:stream']
}

const isBuiltin = (id: string): boolean => id.startsWith('node:') || builtinModules.includes(id)

describe.skipIf(!built)('the root entry, without optional peers', { timeout: 60_000 }, () => {
  let place: string
  beforeAll(() => {
    place = realpathSync(mkdtempSync(join(tmpdir(), 'iopa-roots-')))
    install(place)
  })
  afterAll(() => rmSync(place, { recursive: true, force: true }))

  // All at once, so that what they share is read once: an error names the file of the package in which it is.
  test('of each package is bundled by esbuild', async () => {
    const { warnings } = await build({
      stdin: { contents: ALL, resolveDir: place },
      bundle: true,
      platform: 'node',
      format: 'esm',
      write: false,
      logLevel: 'silent'
    })
    expect(warnings).toEqual([])
  })

  test('of each package is bundled by rollup', async () => {
    const resolve = (id: string): string => {
      const [scope, short, ...rest] = id.split('/')
      const home = join(place, 'node_modules', `${scope}/${short}`)
      const { exports } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as Manifest
      const entry = exports[['.', ...rest].join('/')] as { readonly default: string } | undefined
      if (entry === undefined) throw new Error(`${id} is not an entry`)
      return join(home, entry.default)
    }
    const bundle = await rollup({
      input: 'entry',
      treeshake: false,
      // CommonJS needs a plugin in rollup, so the libraries of others stay outside.
      external: id => isBuiltin(id) || (!/^[./]|^entry$|^@iopa\//.test(id) && existsSync(join(place, 'node_modules', id))),
      onwarn: warning => {
        if (warning.code === 'UNRESOLVED_IMPORT' || warning.code === 'MISSING_EXPORT') throw new Error(warning.message)
      },
      plugins: [
        {
          name: 'installed-packages',
          resolveId: id => (id === 'entry' ? id : id.startsWith('@iopa/') ? resolve(id) : null),
          load: id => (id === 'entry' ? ALL : null)
        }
      ]
    })
    const { output } = await bundle.generate({ format: 'es' })
    expect(output[0].exports).toHaveLength(NAMES.length)
    await bundle.close()
  })

  test('of each package is bundled by webpack', async () => {
    const stats = await new Promise<webpack.StatsCompilation>((settle, reject) => {
      webpack(
        {
          mode: 'none',
          target: 'node20',
          context: place,
          entry: Object.fromEntries(NAMES.map(name => [name.replace('/', '-'), name])),
          output: { path: join(place, 'out'), filename: '[name].js' }
        },
        (error, found) => (error ? reject(error) : settle(found!.toJson({ all: false, errors: true, warnings: true, assets: true })))
      )
    })
    expect(stats).toMatchObject({ errors: [], warnings: [] })
    expect(stats.assets?.length).toBeGreaterThanOrEqual(NAMES.length)
  })

  /** What the declarations of an entry import from outside their package, through every file that they reach. */
  const outside = (home: string, entry: string): string[] => {
    const seen = new Set<string>()
    const names = new Set<string>()
    const read = (file: string): void => {
      if (seen.has(file)) return
      seen.add(file)
      const text = readFileSync(file, 'utf8')
      for (const [, from, called, types] of text.matchAll(/(?:from|^import) '([^']+)'|import\('([^']+)'\)|<reference types="([^"]+)"/gm)) {
        const name = (from ?? called ?? types) as string
        if (name.startsWith('.')) read(join(dirname(file), name.replace(/\.js$/, '.d.ts')))
        else names.add(name)
      }
    }
    read(join(home, entry))
    return [...names]
  }

  test.each(manifests.map(({ manifest }) => [manifest.name, manifest] as const))(
    'of %s has declarations that import only the core and its dependencies',
    (name, manifest) => {
      const { '.': entry } = manifest.exports
      const declarations = outside(join(place, 'node_modules', name), (entry as { types: string }).types)
      const own = [...Object.keys(manifest.dependencies ?? {}), ...(NODE_TYPES[name] ?? [])]
      expect(declarations.filter(other => !other.startsWith('@iopa/') && !own.includes(other))).toEqual([])
    }
  )

  test('of a package that imports an uninstalled library fails this test', async () => {
    const entry = join(place, 'node_modules/@iopa/mqtt/dist/websocket.js')
    await expect(build({ entryPoints: [entry], bundle: true, platform: 'node', write: false, logLevel: 'silent' })).rejects.toThrow(/"ws"/)
  })
})
