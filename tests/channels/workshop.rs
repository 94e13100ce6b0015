//! The other channels of the closed branch, as real programs: Kannel with its fake SMS center, and Exim. With the
//! configurations of `examples/`, on free ports and in folders of their own.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;

use tempfile::TempDir;

use crate::gateway::*;

mod kannel;
mod mail;

pub use kannel::*;
pub use mail::*;

/// A running program, killed when it is dropped: none of them keeps anything that a test needs.
struct Program(Child);

impl Program {
    fn start(command: &mut Command, log: &Path) -> Self {
        let file = File::create(log).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        Program(command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?} ({error}): run make deps")))
    }

    /// Waits until it listens.
    fn listening(mut self, port: u16, log: &Path) -> Self {
        wait(&format!("a listener on port {port}"), || {
            let ended = self.0.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", fs::read_to_string(log).unwrap());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        self
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// nginx with `examples/nginx/channels.conf`, and a location that gives texts to its channels as csw does.
pub struct Channels {
    dir: TempDir,
    nginx: Child,
    pub port: u16,
}

pub struct Builder {
    kannel: (u16, String),
    mail: u16,
    edits: Vec<(String, String)>,
    hasty: bool,
}

/// What came of a text that was given to a channel.
#[derive(Debug)]
pub struct Given {
    pub status: u16,
    /// The channel's own id for it.
    pub id: String,
    pub answer: String,
}

/// The text's id that csw would give it.
pub const ID: &str = "csw.0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// For `write_channels`: timeouts that a busy machine keeps.
pub const PATIENCE: [(&str, &str); 3] = [
    ("proxy_connect_timeout 1s", "proxy_connect_timeout 20s"),
    ("proxy_read_timeout 3s", "proxy_read_timeout 20s"),
    ("from = \"shop@example.com\",", "from = \"shop@example.com\", timeout = 20000,"),
];

/// Writes `channels.conf` into a folder, for an nginx that includes it, with these for its Kannel and its mail server.
pub fn write_channels(root: &Path, kannel: (u16, &str), mail: u16, edits: &[(&str, &str)]) {
    let mut conf = fs::read_to_string(manifest().join("examples/nginx/channels.conf")).unwrap();
    let mut replace = |from: &str, to: &str| {
        assert!(conf.contains(from), "no {from:?} in\n{conf}");
        conf = conf.replace(from, to);
    };
    for (from, to) in edits {
        replace(from, to);
    }
    replace("127.0.0.1:13013", &format!("127.0.0.1:{}", kannel.0));
    replace("port = 25,", &format!("port = {mail},"));
    replace("/etc/nginx/kannel_user.conf", root.join("kannel_user.conf").to_str().unwrap());
    fs::write(root.join("channels.conf"), conf).unwrap();
    let user =
        format!("proxy_set_header X-Kannel-Username \"csw\";\nproxy_set_header X-Kannel-Password \"{}\";\n", kannel.1);
    fs::write(root.join("kannel_user.conf"), user).unwrap();
}

impl Builder {
    pub fn kannel(mut self, kannel: &Kannel) -> Self {
        self.kannel.0 = kannel.port;
        self
    }

    /// A server in Kannel's place.
    pub fn in_place_of_kannel(mut self, server: &Server) -> Self {
        self.kannel.0 = server.port;
        self
    }

    pub fn kannel_password(mut self, password: &str) -> Self {
        self.kannel.1 = password.into();
        self
    }

    pub fn mail(mut self, mail: &MailServer) -> Self {
        self.mail = mail.port;
        self
    }

    /// Waits as long as the example does, and not until a busy machine gets to it.
    pub fn hasty(mut self) -> Self {
        self.hasty = true;
        self
    }

    /// Changes channels.conf.
    pub fn edit(mut self, from: &str, to: &str) -> Self {
        self.edits.push((from.into(), to.into()));
        self
    }

    pub fn start(self) -> Channels {
        let dir = TempDir::new().unwrap();
        let root = dir.path().to_str().unwrap();
        let port = free_port();
        let mut edits: Vec<_> = self.edits.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        if !self.hasty {
            edits.extend(PATIENCE);
        }
        write_channels(dir.path(), (self.kannel.0, &self.kannel.1), self.mail, &edits);
        let conf = NGINX
            .replace("ROOT", root)
            .replace("USER", shell("id -un").trim())
            .replace("LUA", manifest().join("lua").to_str().unwrap())
            .replace("PORT", &port.to_string());
        fs::write(dir.path().join("nginx.conf"), conf).unwrap();

        let mut nginx = Command::new("nginx");
        nginx.arg("-c").arg(dir.path().join("nginx.conf")).args(["-g", "daemon off;"]);
        let mut nginx = nginx.spawn().unwrap_or_else(|error| panic!("cannot run nginx ({error}): run make deps"));
        wait("nginx listens", || {
            assert!(nginx.try_wait().unwrap().is_none(), "nginx does not start");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Channels { dir, nginx, port }
    }
}

impl Channels {
    #[expect(clippy::new_ret_no_self, reason = "it begins the sentence")]
    pub fn new() -> Builder {
        Builder {
            kannel: (closed_port(), KANNEL_PASSWORD.into()),
            mail: closed_port(),
            edits: Vec::new(),
            hasty: false,
        }
    }

    pub fn give(&self, channel: &str, to: &str, text: &str) -> Given {
        self.give_with(channel, to, text, &[])
    }

    /// With headers of the client, whose request csw answers by the channel.
    pub fn give_with(&self, channel: &str, to: &str, text: &str, headers: &[(&str, &str)]) -> Given {
        let letter = [("X-To", to), ("X-Business", BUSINESS), ("X-Id", ID)];
        let headers = [&letter, headers].concat();
        let answer = request(self.port, "POST", &format!("/give/{channel}"), &headers, text.as_bytes());
        assert_eq!(answer.status, 200, "{}", self.error_log());
        Given { status: answer.header("X-Status").parse().unwrap(), id: answer.header("X-Id"), answer: answer.text() }
    }

    pub fn get(&self, path: &str) -> Answer {
        request(self.port, "GET", path, &[], b"")
    }

    pub fn error_log(&self) -> String {
        fs::read_to_string(self.dir.path().join("error.log")).unwrap()
    }

    pub fn wait_for_log(&self, text: &str) {
        wait(&format!("{text} in the error log"), || self.error_log().contains(text));
    }

    pub fn access_log(&self) -> String {
        fs::read_to_string(self.dir.path().join("access.log")).unwrap()
    }

    /// Puts a file beside nginx.conf, and says where it is.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Channels {
    fn drop(&mut self) {
        stop(&mut self.nginx);
        if thread::panicking() {
            eprintln!("--- error.log\n{}", self.error_log());
        }
    }
}

const NGINX: &str = r#"
user USER;
worker_processes 2;
pid ROOT/nginx.pid;
error_log ROOT/error.log info;
include /etc/nginx/modules-enabled/*.conf;

events {}

http {
    client_body_temp_path ROOT/body;
    proxy_temp_path ROOT/proxy;
    fastcgi_temp_path ROOT/fastcgi;
    uwsgi_temp_path ROOT/uwsgi;
    scgi_temp_path ROOT/scgi;
    lua_package_path "LUA/?.lua;;";
    log_format csw '$request_method $uri $status upstream="$upstream_status"';
    access_log ROOT/access.log csw;

    server {
        listen 127.0.0.1:PORT;
        client_body_buffer_size 128k;
        include ROOT/channels.conf;

        location ~ ^/give/(?<channel>.*)$ {
            access_by_lua_block {
                ngx.req.read_body()
                local text = ngx.req.get_body_data() or ""
                local var = ngx.var
                local answer = ngx.location.capture("/csw/channel/" .. var.channel, {
                    method = ngx.HTTP_POST,
                    args = {
                        to = ngx.unescape_uri(var.http_x_to),
                        text = text,
                        business = var.http_x_business,
                        id = var.http_x_id,
                    },
                    body = text,
                })
                ngx.header["X-Status"] = answer.status
                ngx.header["X-Id"] = answer.header["X-CSW-Channel-Id"]
                ngx.print(answer.body)
                ngx.exit(ngx.HTTP_OK)
            }
        }
    }
}
"#;
