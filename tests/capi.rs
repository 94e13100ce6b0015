//! The C door as C sees it: the programs of `tests/c/` and the service of `examples/c/` against the staged library, and what that library
//! shows to a linker.
//!
//! Needs a staged `build/` (or `CSW_BUILD`): `make deps build`.

// Helpers of tests fail loudly, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use csw::store::{Table, codec};
use heed::types::Bytes;
use tempfile::TempDir;

const STRICT: [&str; 6] = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-g"];
const SANITIZERS: [&str; 2] = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The staged tree.
fn build() -> PathBuf {
    let build = std::env::var_os("CSW_BUILD").map_or_else(|| root().join("build"), PathBuf::from);
    let staged = ["lib/libcsw.so", "lib/libcsw.a", "include/csw.h", "lib/pkgconfig/csw.pc"];
    let missing: Vec<&str> = staged.into_iter().filter(|file| !build.join(file).exists()).collect();
    assert!(missing.is_empty(), "{} lacks {missing:?}: run make build", build.display());
    build.canonicalize().unwrap()
}

/// What a command says, once it has succeeded.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|cause| panic!("{command:?}: {cause}"));
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{said}{failed}", output.status);
    said.into_owned()
}

fn cc() -> Command {
    Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
}

fn source(name: &str) -> PathBuf {
    root().join("tests/c").join(name).with_extension("c")
}

/// A program of `tests/c/`, strictly compiled, with the shared library.
fn compiled(name: &str, flags: &[&str], folder: &Path) -> PathBuf {
    let (lib, program) = (build().join("lib"), folder.join(name));
    let mut rpath = OsString::from("-Wl,-rpath,");
    rpath.push(&lib);
    let mut compiler = cc();
    compiler.args(STRICT).args(flags).arg("-I").arg(build().join("include")).arg("-o").arg(&program).arg(source(name));
    run(compiler.arg("-L").arg(lib).arg(rpath).args(["-lcsw", "-lpthread"]));
    program
}

fn runs_plainly(name: &str) {
    let folder = TempDir::new().unwrap();
    let program = compiled(name, &["-O2"], folder.path());
    run(Command::new(program).current_dir(folder.path()));
}

fn is_clean_under_the_sanitizers(name: &str) {
    let folder = TempDir::new().unwrap();
    let program = compiled(name, &SANITIZERS, folder.path());
    let symbols = run(Command::new("nm").arg(&program));
    assert!(symbols.contains("__asan_init") && symbols.contains("__ubsan_handle"), "{name} has no sanitizers in it");
    run(Command::new(program).current_dir(folder.path()).env("ASAN_OPTIONS", "detect_leaks=1"));
}

fn is_clean_under_valgrind(name: &str) {
    let folder = TempDir::new().unwrap();
    let program = compiled(name, &[], folder.path());
    for store in ["store", "other"] {
        make_small_store(&folder.path().join(store));
    }
    let mut valgrind = Command::new("valgrind");
    // A turn for each thread: one that polls without a pause would keep the others from their work.
    valgrind.args(["--fair-sched=yes", "--quiet", "--error-exitcode=1"]);
    // What is only "possibly lost" is the map of a Rust static, which is held by a pointer into its middle.
    valgrind.args(["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]);
    // A child leaks its parent's store on purpose; LeakSanitizer looks at the parent alone.
    valgrind.args((name == "fork").then_some("--leak-check=no"));
    run(valgrind.arg(program).current_dir(folder.path()));
}

/// Valgrind cannot map the 64 GiB that csw gives to a new store; one that is there already keeps its own size.
fn make_small_store(path: &Path) {
    fs::create_dir(path).unwrap();
    let mut options = heed::EnvOpenOptions::new();
    // SAFETY: the folder was made above, nobody else knows it.
    let store = unsafe { options.max_dbs(Table::ALL.len() as u32).map_size(64 << 20).open(path) }.unwrap();
    let mut txn = store.write_txn().unwrap();
    let tables = Table::ALL.map(|table| store.create_database::<Bytes, Bytes>(&mut txn, Some(table.name())).unwrap());
    tables[Table::Meta.index()].put(&mut txn, b"format", &codec::encode(&codec::FORMAT).unwrap()).unwrap();
    txn.commit().unwrap();
}

macro_rules! programs {
    ($($name:ident),+) => { $(
        mod $name {
            #[test]
            fn runs_plainly() {
                super::runs_plainly(stringify!($name));
            }

            #[test]
            fn is_clean_under_the_sanitizers() {
                super::is_clean_under_the_sanitizers(stringify!($name));
            }

            #[test]
            fn is_clean_under_valgrind() {
                super::is_clean_under_valgrind(stringify!($name));
            }
        }
    )+ };
}

programs!(accounting, closed, doors, misuse, fork, two_gates, threads);

/// Only plainly: the sanitizers and valgrind bring an allocator and system calls of their own.
#[test]
fn check_makes_no_system_call_and_an_open_window_no_allocation() {
    runs_plainly("hot_path");
}

#[test]
fn programs_use_every_function() {
    let programs: String = ["accounting", "closed", "doors", "misuse", "fork", "two_gates", "threads"]
        .map(|name| fs::read_to_string(source(name)).unwrap())
        .concat();
    let calls = |function: &str| programs.contains(&format!("{function}("));
    let names = |function: &str| programs.contains(&format!("NAMES_ARE({function},"));
    for function in functions() {
        assert!(calls(&function) || names(&function), "no program of tests/c uses {function}");
    }
}

#[test]
fn header_compiles_as_cpp() {
    if Command::new("g++").arg("--version").output().is_err() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("header.cpp");
    let program = "#include <csw.h>\nint main() { return csw_abi_version() == CSW_ABI_VERSION ? 0 : 1; }\n";
    fs::write(&source, program).unwrap();
    let (include, lib, program) = (build().join("include"), build().join("lib"), folder.path().join("header"));
    let mut compiler = Command::new("g++");
    compiler.args(["-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"]).arg(include).arg(&source);
    run(compiler.arg("-o").arg(&program).arg("-L").arg(&lib).arg("-lcsw"));
    run(Command::new(program).env("LD_LIBRARY_PATH", lib));
}

// --- what the linker sees ----------------------------------------------------------------------------------------------------------

/// The functions that the header promises.
fn functions() -> Vec<String> {
    fs::read_to_string(root().join("tests/symbols.txt")).unwrap().lines().map(str::to_owned).collect()
}

/// The names of defined symbols, sorted: those that others can link to.
fn exported(flags: &[&str], file: &Path) -> Vec<String> {
    let listing = run(Command::new("nm").args(flags).args(["--defined-only", "--format=posix"]).arg(file));
    let is_symbol = |line: &&str| line.split(' ').count() > 1;
    let mut names: Vec<String> =
        listing.lines().filter(is_symbol).filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    names.sort();
    names
}

fn dynamic_section(file: &Path) -> String {
    run(Command::new("readelf").arg("--dynamic").arg("--wide").arg(file))
}

#[test]
fn shared_library_exports_what_is_listed_and_nothing_else() {
    let library = build().join("lib/libcsw.so");
    assert_eq!(exported(&["--dynamic"], &library), functions());
    let header = fs::read_to_string(build().join("include/csw.h")).unwrap();
    for function in functions() {
        assert!(header.contains(&format!("{function}(")), "csw.h lacks {function}");
    }
    let all = run(Command::new("nm").arg("--dynamic").arg(&library));
    assert!(!all.contains("lua"), "{all}");
}

#[test]
fn shared_library_has_its_soname_and_is_never_unloaded() {
    let library = build().join("lib/libcsw.so");
    let section = dynamic_section(&library);
    assert!(section.contains("Library soname: [libcsw.so.1]"), "{section}");
    assert!(section.contains("NODELETE"), "{section}");
    assert_eq!(library.canonicalize().unwrap().file_name().unwrap(), &*format!("libcsw.so.{VERSION}"));
}

#[test]
fn static_library_shows_csw_functions_alone_and_serves_a_program() {
    let archive = build().join("lib/libcsw.a");
    assert_eq!(exported(&["--extern-only"], &archive), functions());

    let folder = TempDir::new().unwrap();
    let program = folder.path().join("doors");
    let mut compiler = cc();
    compiler.args(STRICT).arg("-I").arg(build().join("include")).arg("-o").arg(&program).arg(source("doors"));
    run(compiler.arg(archive).args(private_libraries()));
    assert!(!dynamic_section(&program).contains("libcsw"));
    run(Command::new(program).current_dir(folder.path()));
}

/// What a program must add that links statically.
fn private_libraries() -> Vec<String> {
    let pc = fs::read_to_string(build().join("lib/pkgconfig/csw.pc")).unwrap();
    let libraries = pc.lines().find_map(|line| line.strip_prefix("Libs.private:")).unwrap();
    libraries.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn lua_modules_export_their_opener_alone_and_have_no_soname() {
    for lua in ["5.1", "5.3", "5.4"] {
        let module = build().join("lib/lua").join(lua).join("csw_native.so");
        assert!(module.exists(), "no module for Lua {lua}: run make build");
        assert_eq!(exported(&["--dynamic"], &module), ["luaopen_csw_native"], "Lua {lua}");
        let section = dynamic_section(&module);
        assert!(!section.contains("SONAME") && section.contains("NODELETE"), "Lua {lua}: {section}");
    }
}

// --- installed ---------------------------------------------------------------------------------------------------------------------

/// The staged tree as `make install` lays it out below a folder; nothing is built for it.
fn install(destination: &Path) {
    let mut make = Command::new("make");
    make.arg("-C").arg(root()).args(["install", "--silent", "--old-file=build", "PREFIX=/usr"]);
    let variable = |name: &str, path: &Path| format!("{name}={}", path.display());
    run(make.arg(variable("BUILD", &build())).arg(variable("DESTDIR", destination)));
}

/// A command that finds csw installed below a folder, and nowhere else.
fn with_installed(destination: &Path, command: &str) -> Command {
    let mut command = Command::new(command);
    command.env("PKG_CONFIG_LIBDIR", destination.join("usr/lib/pkgconfig"));
    command.env("PKG_CONFIG_SYSROOT_DIR", destination).env("LD_LIBRARY_PATH", destination.join("usr/lib"));
    command
}

#[test]
fn installed_library_is_found_by_pkg_config() {
    let folder = TempDir::new().unwrap();
    install(folder.path());
    let asked = |what: &str| run(with_installed(folder.path(), "pkg-config").args([what, "csw"]));
    assert_eq!(asked("--modversion").trim(), VERSION);
    assert!(asked("--cflags").contains(&*folder.path().join("usr/include").to_string_lossy()));

    let mut compiler = cc();
    compiler.args(STRICT).arg("-o").arg("doors").arg(source("doors"));
    compiler.args(asked("--cflags").split_whitespace()).args(asked("--libs").split_whitespace());
    run(compiler.current_dir(folder.path()));
    run(with_installed(folder.path(), "./doors").current_dir(folder.path()));

    for file in ["bin/csw", "lib/libcsw.a", "lib/lua/5.4/csw_native.so", "share/lua/5.1/csw/init.lua"] {
        assert!(folder.path().join("usr").join(file).exists(), "{file} was not installed");
    }
}

// --- the example -------------------------------------------------------------------------------------------------------------------

/// The service of `examples/c/`; dropped, it stops.
struct Service {
    process: Child,
    socket: PathBuf,
}

impl Service {
    /// Built once by [`Service::build`] into the folder that it then runs in.
    fn start(folder: &Path) -> Self {
        let mut service = with_installed(folder, "./service");
        service.args(["csw.toml", "csw.sock"]).current_dir(folder).stdout(Stdio::piped());
        let mut process = service.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "listening on csw.sock\n");
        Service { process, socket: folder.join("csw.sock") }
    }

    fn build(folder: &Path) {
        install(folder);
        let mut make = with_installed(folder, "make");
        run(make.arg("--silent").arg("-f").arg(root().join("examples/c/Makefile")).current_dir(folder));
        fs::write(folder.join("csw.toml"), "store = \"lmdb:store\"\n[closed]\nsteps = [\"park\"]\n").unwrap();
    }

    fn connect(&self) -> Connection {
        let stream = UnixStream::connect(&self.socket).unwrap();
        Connection { answers: BufReader::new(stream.try_clone().unwrap()), stream }
    }

    /// Asks it to stop as an init system would.
    fn stop(mut self) {
        run(Command::new("kill").arg("-TERM").arg(self.process.id().to_string()));
        assert!(self.process.wait().unwrap().success());
        assert!(!self.socket.exists());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Connection {
    stream: UnixStream,
    answers: BufReader<UnixStream>,
}

impl Connection {
    fn say(&mut self, lines: &str) {
        self.stream.write_all(lines.as_bytes()).unwrap();
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ask(&mut self, line: &str) -> String {
        self.say(&format!("{line}\n"));
        self.answer()
    }
}

#[test]
fn example_service_answers_when_records_are_on_disk() {
    let folder = TempDir::new().unwrap();
    Service::build(folder.path());
    let service = Service::start(folder.path());

    let mut one = service.connect();
    assert_eq!(one.ask("check 106540352242922 16505551234"), "unknown never_seen 0");
    assert_eq!(one.ask("act 106540352242922 16505551234 wamid.1"), "recorded none");
    assert!(one.ask("check 106540352242922 16505551234").starts_with("open window_open 1"));
    assert_eq!(one.ask("sent 106540352242922 16505551234 wamid.2"), "recorded opens service");
    assert_eq!(one.ask("sent 106540352242922 16505551234 wamid.3"), "recorded joins service");
    assert!(one.ask("check 106540352242922 nobody").starts_with("error invalid customer "));
    assert!(one.ask("act 106540352242922 nobody").starts_with("error invalid customer "));
    assert!(one.ask("sent 106540352242922").starts_with("error usage "));

    // Lines that come at once are answered in turn, and nobody waits for another's.
    let mut others: Vec<Connection> = (0..20).map(|_| service.connect()).collect();
    for (number, other) in others.iter_mut().enumerate() {
        let customer = format!("1650555{number:04}");
        other.say(&format!("act 106540352242922 {customer}\ncheck 106540352242922 {customer}\n"));
    }
    for other in &mut others {
        assert_eq!(other.answer(), "recorded none");
        assert!(other.answer().starts_with("open window_open 1"));
    }

    // A line without an end is not kept for ever; a client that leaves without waiting has its record all the same.
    one.say(&"x".repeat(4096));
    assert_eq!(one.answer(), "");
    service.connect().say("act 106540352242922 16505559999\n");
    let mut asked = 0;
    while others[0].ask("check 106540352242922 16505559999").starts_with("unknown") {
        asked += 1;
        assert!(asked < 100_000, "the record of a client that left is missing");
    }
    service.stop();

    let service = Service::start(folder.path());
    let mut one = service.connect();
    for customer in ["16505551234", "16505559999"] {
        assert!(one.ask(&format!("check 106540352242922 {customer}")).starts_with("open window_open 1"), "{customer}");
    }
    service.stop();
}

#[test]
fn example_service_gates_parks_and_drains() {
    let folder = TempDir::new().unwrap();
    Service::build(folder.path());
    let service = Service::start(folder.path());
    let text = |to: &str, text: &str| format!(r#"{{"to":"{to}","type":"text","text":{{"body":"{text}"}}}}"#);
    let template = r#"{"to":"16505551234","type":"template","template":{"name":"news","language":{"code":"en"}}}"#;
    let send = |connection: &mut Connection, body: &str| connection.ask(&format!("send 106540352242922 {body}"));

    let (mut business, mut platform) = (service.connect(), service.connect());
    assert!(send(&mut business, template).starts_with("error unavailable "), "nobody stands for the platform yet");
    platform.say("deliver\n");
    // The line above is taken before the next one is answered.
    assert!(platform.ask("check 106540352242922 16505551234").starts_with("unknown "));
    assert!(send(&mut business, template).starts_with("sent template wamid.c."));
    assert_eq!(platform.answer(), template);
    assert!(send(&mut business, &text("16505551234", "one")).starts_with("parked "));
    assert!(send(&mut business, &text("16505551234", "two")).starts_with("parked "));
    assert!(send(&mut business, "no json").starts_with("error body "));
    service.stop();

    let service = Service::start(folder.path());
    let (mut business, mut platform) = (service.connect(), service.connect());
    platform.say("deliver\n");
    assert!(platform.ask("check 106540352242922 16505551234").starts_with("unknown "));
    assert_eq!(business.ask("act 106540352242922 16505551234 wamid.1"), "recorded none");
    assert_eq!(platform.answer(), text("16505551234", "one"), "parked over a restart, and sent in order");
    assert_eq!(platform.answer(), text("16505551234", "two"));
    assert!(send(&mut business, &text("16505551234", "three")).starts_with("sent window_open wamid.c."));
    assert_eq!(platform.answer(), text("16505551234", "three"));
    service.stop();
}
