import { builtinModules } from 'node:module'
import { build } from 'esbuild'
import { describe, expect, test } from 'vitest'

const resolve = (folder: string): string => new URL(`../packages/${folder}/src/index.ts`, import.meta.url).pathname

/** What a bundle for the browser imports from outside itself, and its size. */
const bundled = async (entry: string): Promise<{ outside: string[]; text: string }> => {
  const result = await build({
    stdin: { contents: entry, resolveDir: new URL('.', import.meta.url).pathname, loader: 'ts' },
    bundle: true,
    platform: 'browser',
    format: 'esm',
    minify: true,
    write: false,
    metafile: true,
    conditions: ['@iopa/source'],
    logLevel: 'silent'
  })
  const outside = Object.values(result.metafile.inputs).flatMap(({ imports }) => imports.filter(({ external }) => external).map(({ path }) => path))
  return { outside, text: result.outputFiles[0]?.text ?? '' }
}

describe('the core in a browser bundle', () => {
  test.each(['constants', 'context', 'appbuilder'])('%s bundles without any Node built-in', async folder => {
    const { outside, text } = await bundled(`export * from ${JSON.stringify(resolve(folder))}`)
    expect(outside).toEqual([])
    // Asking a platform whether it has a module is no import: elsewhere the answer is undefined.
    const named = text.replace(/getBuiltinModule\?\.\("node:async_hooks"\)/g, '')
    for (const name of builtinModules) expect(named).not.toContain(`"node:${name}"`)
  })

  test('the check fails for a bundle with a Node built-in', async () => {
    await expect(bundled("import net from 'node:net'; console.log(net)")).rejects.toThrow(/node:net/)
  })

  test('runs on a platform without process.getBuiltinModule', async () => {
    const { text } = await bundled(`
      import { App } from ${JSON.stringify(resolve('appbuilder'))}
      const app = new App().use(context => { context.defer(() => undefined); return context.signal.aborted })
      export const run = async () => (await app.invoke({ 'iopa.Path': '/' })).text()
    `)
    const browser = `const process = undefined, globalThis = {};\n${text}`
    const module = (await import(`data:text/javascript,${encodeURIComponent(browser)}`)) as { run(): Promise<string> }
    expect(await module.run()).toBe('false')
  })

  test('runs an app with a router in a bundle', async () => {
    const { text } = await bundled(`
      import { App } from ${JSON.stringify(resolve('appbuilder'))}
      import { router } from ${JSON.stringify(resolve('router'))}
      const app = new App().use(router())
      app.get('/hello/:name', context => 'Hello ' + context.params.name)
      export const run = async () => (await app.invoke({ 'iopa.Path': '/hello/you' })).text()
    `)
    const module = (await import(`data:text/javascript,${encodeURIComponent(text)}`)) as { run(): Promise<string> }
    expect(await module.run()).toBe('Hello you')
  })
})
