import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const run = promisify(execFile)
const root = new URL('..', import.meta.url).pathname
const built = readdirSync(join(root, 'packages/iopa-http')).includes('dist')

// Tarballs hold the built output, so this needs a build; npm test builds first.
describe.skipIf(!built)('a package installed from its tarball', () => {
  let place: string
  beforeAll(async () => {
    place = mkdtempSync(join(tmpdir(), 'iopa-tarballs-'))
    const filters = ['constants', 'context', 'transport', 'appbuilder', 'iopa-http'].flatMap(folder => ['--filter', `./packages/${folder}`])
    await run('npx', ['--yes', 'pnpm@10.34.9', '-r', ...filters, 'pack', '--pack-destination', place], { cwd: root })
    const tarballs = Object.fromEntries(readdirSync(place).map(name => [name.replace(/^iopa-(\w+)-.*$/, '@iopa/$1'), `file:${join(place, name)}`]))
    // Nothing is published yet, so the ranges of the core are pointed at its tarballs.
    const manifest = {
      name: 'consumer',
      private: true,
      type: 'module',
      dependencies: { '@iopa/http': tarballs['@iopa/http'] },
      overrides: Object.fromEntries(Object.entries(tarballs).filter(([name]) => name !== '@iopa/http'))
    }
    writeFileSync(join(place, 'package.json'), JSON.stringify(manifest))
    await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], { cwd: place })
  }, 120_000)
  afterAll(() => rmSync(place, { recursive: true, force: true }))

  test('installs only the core', () => {
    expect(readdirSync(join(place, 'node_modules')).filter(name => !name.startsWith('.'))).toEqual(['@iopa'])
    expect(readdirSync(join(place, 'node_modules/@iopa')).sort()).toEqual(['appbuilder', 'constants', 'context', 'http', 'transport'])
  })

  test('works with import and require', async () => {
    const body = (load: string): string => `${load}
      const app = new App().use(http({ port: 0 })).use(context => ({ path: context.path }))
      app.listen().then(async ([{ url }]) => {
        const answer = await fetch(new URL('/alone', url))
        console.log(answer.status, await answer.text())
        await app.close()
      })`
    writeFileSync(join(place, 'run.mjs'), body("import { App } from '@iopa/appbuilder'; import { http } from '@iopa/http'"))
    writeFileSync(join(place, 'run.cjs'), body("const { App } = require('@iopa/appbuilder'); const { http } = require('@iopa/http')"))
    for (const file of ['run.mjs', 'run.cjs'])
      expect((await run(process.execPath, [file], { cwd: place })).stdout.trim()).toBe('200 {"path":"/alone"}')
  }, 30_000)

  test('has strict types without skipLibCheck, and typed custom keys', async () => {
    writeFileSync(
      join(place, 'use.ts'),
      `import { App, defineMiddleware } from '@iopa/appbuilder'
       import { http } from '@iopa/http'
       declare module '@iopa/constants' { interface IopaKeys { 'acme.Tenant': string } }
       const tenant = defineMiddleware({ name: 'tenant', provides: ['acme.Tenant'] }, (context, next) => { context['acme.Tenant'] = 'a'; return next() })
       new App().use(tenant).use(http({ port: 0 })).use(context => context['acme.Tenant'].length)
       // @ts-expect-error nothing provides it here
       new App().use(http({ port: 0 })).use(context => context['acme.Tenant'].length)
       // @ts-expect-error a misspelt key
       new App().use(context => context['iopa.Methud'])
      `
    )
    const types = join(root, 'node_modules/@types')
    writeFileSync(
      join(place, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          module: 'nodenext',
          target: 'es2022',
          lib: ['es2023', 'esnext.disposable', 'dom', 'dom.iterable'],
          noEmit: true,
          skipLibCheck: false,
          skipDefaultLibCheck: true,
          types: ['node'],
          typeRoots: [types]
        },
        files: ['use.ts']
      })
    )
    await run(join(root, 'node_modules/.bin/tsc'), ['-p', place], { cwd: root }).catch((error: { stdout: string }) => expect(error.stdout).toBe(''))
  }, 60_000)
})
