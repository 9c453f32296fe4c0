// The types that openapi-typescript makes of a document compile, and openapi-fetch calls the app by them.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { App } from '@iopa/appbuilder'
import { http } from '@iopa/http'
import ts from '@typescript/typescript6'
import { build } from 'esbuild'
import createClient from 'openapi-fetch'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openapi } from '../src/index.ts'
import { contractApp, INFO, plainApp } from './fixtures/apps.ts'

const PROGRAM = `
import createClient from 'openapi-fetch'
import type { paths } from './generated-types.ts'

// Without the media type of event streams.
const client = createClient<paths, \`application/\${string}\`>({ baseUrl: 'http://127.0.0.1' })
export const run = async (): Promise<number> => {
  const { data, error } = await client.GET('/lights/{id}', { params: { path: { id: 'hall' }, query: { unit: 'lumen' } } })
  if (data === undefined) return error.status
  await client.PUT('/lights/{id}', { params: { path: { id: 'hall' } }, body: { on: !data.on, level: data.level + 1 } })
  const { data: job } = await client.POST('/lights/{id}', { params: { path: { id: 'hall' } }, body: { to: 1, seconds: 2 } })
  const text: string | undefined = job?.job
  // @ts-expect-error a member that a light does not have
  data.colour
  // @ts-expect-error a state that is none
  await client.PUT('/lights/{id}', { params: { path: { id: 'hall' } }, body: { on: 'yes', level: 1 } })
  // @ts-expect-error a unit that there is none of
  await client.GET('/lights/{id}', { params: { path: { id: 'hall' }, query: { unit: 'miles' } } })
  // @ts-expect-error a path that there is none of
  await client.GET('/nights/{id}', {})
  return text === undefined ? 0 : text.length
}
`

interface Generator {
  default(document: string): Promise<readonly object[]>
  astToString(nodes: readonly object[]): string
}

/** openapi-typescript with the compiler that it needs: typescript 7, which it would get here, has no syntax trees. */
const generator = async (): Promise<Generator> => {
  const require = createRequire(import.meta.url)
  const typescript = require.resolve('typescript59')
  const { outputFiles } = await build({
    entryPoints: [require.resolve('openapi-typescript')],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
    logLevel: 'error',
    alias: { typescript },
    external: [typescript]
  })
  const module = { exports: {} }
  new Function('module', 'exports', 'require', outputFiles[0]?.text ?? '')(module, module.exports, require)
  return module.exports as Generator
}

const typesOf = async ({ default: generate, astToString }: Generator, app: App): Promise<string> =>
  astToString(await generate(JSON.stringify(openapi(app, INFO, '3.1'))))

/** What the compiler says of files that exist in memory alone. */
const compileFaults = (files: Readonly<Record<string, string>>): readonly string[] => {
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2022.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    allowImportingTsExtensions: true
  }
  const host = ts.createCompilerHost(options)
  const texts = new Map(Object.entries(files).map(([name, text]) => [join(import.meta.dirname, name), text]))
  const { fileExists, readFile } = host
  host.fileExists = name => texts.has(name) || fileExists(name)
  host.readFile = name => texts.get(name) ?? readFile(name)
  const getSourceFile = host.getSourceFile.bind(host)
  host.getSourceFile = (name, version, ...rest) => {
    const text = texts.get(name)
    return text === undefined ? getSourceFile(name, version, ...rest) : ts.createSourceFile(name, text, version)
  }
  return ts
    .getPreEmitDiagnostics(ts.createProgram([...texts.keys()], options, host))
    .map(({ messageText, file }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`)
}

describe('a client of an OpenAPI document', () => {
  let app: App
  let baseUrl: string
  beforeAll(async () => {
    app = contractApp().use(http({ port: 0 }))
    const [listener] = await app.listen()
    baseUrl = String(listener?.url)
  })
  afterAll(() => app.close({ timeout: 10 }))

  test('compiles, and refuses what the contract refuses', async () => {
    const types = await generator()
    const files = {
      'generated-types.ts': await typesOf(types, app),
      'generated-client.ts': PROGRAM,
      'plain-types.ts': await typesOf(types, plainApp())
    }
    expect(compileFaults(files)).toEqual([])
  }, 60_000)

  test('reads, writes and acts', async () => {
    interface Method {
      parameters: object
      responses: {
        200: { content: { 'application/json': Record<string, unknown> } }
        default: { content: { 'application/problem+json': { status: number } } }
      }
    }
    type Changes = Method & { requestBody: { content: { 'application/json': object } } }
    const client = createClient<{ '/lights/{id}': { get: Method; put: Changes; post: Changes } }>({ baseUrl })
    const params = { path: { id: 'hall' } }
    expect((await client.PUT('/lights/{id}', { params, body: { on: true, level: 7 } })).data).toEqual({ on: true, level: 7 })
    expect((await client.GET('/lights/{id}', { params })).data).toEqual({ on: true, level: 7 })
    expect((await client.POST('/lights/{id}', { params, body: { to: 1, seconds: 2 } })).data).toEqual({ job: 'fade hall' })
    expect((await client.PUT('/lights/{id}', { params, body: { on: 1 } })).error).toMatchObject({ status: 422 })
  })
})
