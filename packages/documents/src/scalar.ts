/**
 * Shows the OpenAPI document with Scalar, served by the app itself: `npm install @scalar/api-reference`.
 *
 * @example
 * app.use(documents({ title: 'Home', version: '1.0.0', viewer: scalar() }))
 */
import { checkOptions, markFactory, optionError } from '@iopa/appbuilder/extension'
import { escapeHtml, hashSource, type Viewer } from './viewer.ts'

/** Options of `scalar()`. */
export interface ScalarOptions {
  /** Its configuration, as its documentation has it; `url` is that of the document. */
  readonly configuration?: Readonly<Record<string, unknown>>
}

const OPTIONS: Record<keyof ScalarOptions, true> = { configuration: true }

/** What would reach out of the app. */
const LOCAL = { withDefaultFonts: false, telemetry: false, showDeveloperTools: 'never', agent: { disabled: true }, hideClientButton: true }

/** A viewer for `documents({ viewer: scalar() })`. Nothing is loaded from other machines. */
export const scalar = (options: ScalarOptions = {}): Viewer => {
  checkOptions('scalar()', options, OPTIONS, scalar)
  return {
    async files(title, links) {
      if (links.openapi === undefined)
        throw optionError('scalar() shows the OpenAPI document, which documents() does not serve: leave paths.openapi as it is.')
      const library = await libraryText()
      const configuration = JSON.stringify({ ...LOCAL, ...options.configuration, url: links.openapi }).replaceAll('<', '\\u003c')
      const start = `Scalar.createApiReference('#app', ${configuration})`
      const policy = [
        "default-src 'none'",
        `script-src 'self' ${await hashSource(start)}`,
        // It writes styles into the page.
        "style-src 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'"
      ].join('; ')
      const body = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escapeHtml(title)}</title><link rel="icon" href="data:,"></head><body><div id="app"></div><script src="${escapeHtml(links.files)}scalar.js"></script><script>${start}</script></body></html>\n`
      return { '': { type: 'text/html; charset=utf-8', body, policy }, 'scalar.js': { type: 'text/javascript; charset=utf-8', body: library } }
    }
  }
}

/** The one file that its package has for browsers. */
const libraryText = async (): Promise<string> => {
  const [{ readFile }, { createRequire }] = await Promise.all([import('node:fs/promises'), import('node:module')])
  let file: string
  try {
    const { resolve } = createRequire(import.meta.url)
    file = resolve('@scalar/api-reference').replace(/([\\/]@scalar[\\/]api-reference[\\/]).*$/, '$1dist/browser/standalone.js')
  } catch {
    throw optionError('scalar() needs its package: npm install @scalar/api-reference.')
  }
  return readFile(file, 'utf8')
}

markFactory('scalar', scalar)
